"""FAQ and RAG retrieval with hybrid search."""

__version__ = "0.1.0"
