"""The store over Weaviate."""

from service.stores.weaviate.opening import open_weaviate_store

__all__ = ["open_weaviate_store"]
