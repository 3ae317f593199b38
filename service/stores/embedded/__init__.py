"""The embedded store: SQLite is the log and the truth, Qdrant Edge the index over it, one process the owner of both."""

from service.stores.embedded.accounts import export_room
from service.stores.embedded.store import EmbeddedStore, open_embedded_store

__all__ = ["EmbeddedStore", "export_room", "open_embedded_store"]
