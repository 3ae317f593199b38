"""The catalog: which collections there are, and in which folders each lives. A small SQLite file."""

import secrets
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
from msgspec import Struct, structs

from service.models import Collection
from service.stores.embedded.databases import open_database, transaction

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS collections (
    physical TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    place BLOB NOT NULL,
    UNIQUE (tenant, name)
);
CREATE TABLE IF NOT EXISTS beside (
    physical TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    place BLOB NOT NULL,
    UNIQUE (tenant, name)
);
"""
"""The live generation of each collection, and those beside. Releases that know the first table alone read it well."""


class Place(Struct, frozen=True):
    """One generation of a collection as the catalog keeps it."""

    collection: Collection
    """Its `physical` is the name of its folder; its `version` is half of the version that callers see."""
    shard: str
    """Name of the folder of its index, in its own folder. Another index gets another name."""
    dimensions: int


class Catalog:
    """The tables of places. Callers keep the places in memory; the tables are read once, at open."""

    def __init__(self, file: Path) -> None:
        self._connection = open_database(file, SCHEMA)
        self._lock = Lock()

    def places(self) -> list[tuple[Place, Place | None]]:
        """Return each collection's place, and that of the generation beside it where its entry names one."""
        with self._lock:
            found = [_decode(row) for row in self._connection.execute("SELECT place FROM collections")]
            others = [_decode(row) for row in self._connection.execute("SELECT place FROM beside")]
        beside = {place.collection.physical: place for place in others}
        return [(place, beside.get(_beside(place.collection))) for place in found]

    def put(self, place: Place) -> Place:
        """Replace the place of a generation, live or beside, under a new half of a version; durable on return."""
        stored = _renewed(place)
        with self._lock, transaction(self._connection):
            for table in ("collections", "beside"):
                statement = f"UPDATE {table} SET place = ? WHERE physical = ?"  # noqa: S608  # one of two constants
                self._connection.execute(statement, (msgspec.msgpack.encode(stored), stored.collection.physical))
        return stored

    def arrange(self, live: Place, beside: Place | None) -> Place:
        """Make these the generations of their collection, at once, under a new half of a version; durable on return."""
        stored = _renewed(live)
        entry = stored.collection
        with self._lock, transaction(self._connection):
            self._forget(entry.tenant, entry.name)
            self._connection.execute("INSERT INTO collections VALUES (?, ?, ?, ?)", _row(stored))
            if beside:
                self._connection.execute("INSERT INTO beside VALUES (?, ?, ?, ?)", _row(beside))
        return stored

    def remove(self, collection: Collection) -> None:
        with self._lock, transaction(self._connection):
            self._forget(collection.tenant, collection.name)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _forget(self, tenant: str, name: str) -> None:
        self._connection.execute("DELETE FROM collections WHERE tenant = ? AND name = ?", (tenant, name))
        self._connection.execute("DELETE FROM beside WHERE tenant = ? AND name = ?", (tenant, name))


def _beside(collection: Collection) -> str:
    return collection.other.physical if collection.other else ""


def _renewed(place: Place) -> Place:
    return structs.replace(place, collection=structs.replace(place.collection, version=secrets.token_hex(6)))


def _row(place: Place) -> tuple[str, str, str, bytes]:
    entry = place.collection
    return entry.physical, entry.tenant, entry.name, msgspec.msgpack.encode(place)


def _decode(row: tuple[bytes]) -> Place:
    return msgspec.msgpack.decode(row[0], type=Place)
