"""The catalog: which collections there are, and in which folders each lives. One small SQLite table."""

import secrets
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
from msgspec import Struct, structs

from service.models import Collection
from service.stores.embedded.databases import open_database

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS collections (
    physical TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    place BLOB NOT NULL,
    UNIQUE (tenant, name)
);
"""


class Place(Struct, frozen=True):
    """One collection as the catalog keeps it."""

    collection: Collection
    """Its `physical` is the name of its folder; its `version` is half of the version that callers see."""
    shard: str
    """Name of the folder of its index, in its own folder. Another index gets another name."""
    dimensions: int


class Catalog:
    """The table of places. Callers keep the places in memory; the table is read once, at open."""

    def __init__(self, file: Path) -> None:
        self._connection = open_database(file, SCHEMA)
        self._lock = Lock()

    def places(self) -> list[Place]:
        with self._lock:
            rows = self._connection.execute("SELECT place FROM collections").fetchall()
        return [msgspec.msgpack.decode(encoded, type=Place) for (encoded,) in rows]

    def put(self, place: Place) -> Place:
        """Insert or replace a place under a new half of a version; durable when it returns."""
        stored = structs.replace(place, collection=structs.replace(place.collection, version=secrets.token_hex(6)))
        entry = stored.collection
        with self._lock:
            self._connection.execute(
                "INSERT INTO collections VALUES (?, ?, ?, ?) "
                "ON CONFLICT (physical) DO UPDATE SET place = excluded.place",
                (entry.physical, entry.tenant, entry.name, msgspec.msgpack.encode(stored)),
            )
        return stored

    def remove(self, physical: str) -> None:
        with self._lock:
            self._connection.execute("DELETE FROM collections WHERE physical = ?", (physical,))

    def close(self) -> None:
        with self._lock:
            self._connection.close()
