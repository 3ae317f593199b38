"""Documents to passages that fit the model's window, along the document's own structure."""

from service.ingest.chunking.chunker import CHUNKER, SMALLEST_WINDOW, Chunk, Chunker

__all__ = ["CHUNKER", "SMALLEST_WINDOW", "Chunk", "Chunker"]
