"""A store that several processes share, over one SQLite file: stands in for a server until Weaviate comes."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Final, TypeVar

import msgspec
import numpy as np
from msgspec import structs

from service.errors import StoreUnavailable, UnknownCollection
from service.models import Collection, Match, Passage, Record
from service.stores.base import Deletion, EmbeddedDocument, Vector
from service.stores.catalog import check_generation, placed
from service.stores.filters import Filter
from service.stores.memory import MemoryStore, _best, _Shelf
from service.stores.words import bm25_scores, words

TABLES: Final = """
CREATE TABLE IF NOT EXISTS entries (tenant TEXT, name TEXT, physical TEXT, entry BLOB, PRIMARY KEY (tenant, name));
CREATE TABLE IF NOT EXISTS documents (
    physical TEXT, id TEXT, changed INTEGER, texts BLOB, vectors BLOB, PRIMARY KEY (physical, id)
);
CREATE TABLE IF NOT EXISTS counter (n INTEGER);
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT * FROM counter);
"""

T = TypeVar("T")
Row = tuple[str, str, int]
"""Physical name, document id, and the number of the write that wrote it."""


class SharedStore(MemoryStore):
    """A MemoryStore that takes over what any process has committed before it answers anything.

    A write survives the death of its process, not a power cut. `delete_matching` finds its documents before it deletes
    them: what another process writes between is judged by what it was.
    """

    def __init__(self, reading: sqlite3.Connection, writing: sqlite3.Connection) -> None:
        super().__init__()
        self._reading = reading
        self._writing = writing
        self._lock = threading.Lock()
        self._seen = -1
        self._rows: set[Row] = set()

    async def collections(self, tenant: str) -> list[Collection]:
        self._catch_up()
        return await super().collections(tenant)

    async def collection(self, tenant: str, name: str) -> Collection | None:
        self._catch_up()
        return await super().collection(tenant, name)

    async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
        def put(number: int) -> Collection | None:
            key = (collection.tenant, collection.name)
            row = self._writing.execute(_ENTRY, key).fetchone()
            found = msgspec.msgpack.decode(row[0], type=Collection) if row else None
            if found != expected:
                return None
            known = set(found.places) if found else set()
            stored = structs.replace(placed(collection, known, token_urlsafe), version=str(number))
            for physical in known - {*stored.places}:
                self._writing.execute("DELETE FROM documents WHERE physical = ?", (physical,))
            values = (*key, stored.physical, msgspec.msgpack.encode(stored))
            self._writing.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", values)
            return stored

        return await self._transact(put)

    async def delete_collection(self, tenant: str, name: str) -> None:
        def delete(_: int) -> None:
            row = self._writing.execute(_ENTRY, (tenant, name)).fetchone()
            for physical in msgspec.msgpack.decode(row[0], type=Collection).places if row else ():
                self._writing.execute("DELETE FROM documents WHERE physical = ?", (physical,))
            self._writing.execute("DELETE FROM entries WHERE tenant = ? AND name = ?", (tenant, name))

        await self._transact(delete)

    async def nearest(
        self,
        collection: Collection,
        vector: Vector,
        limit: int,
        where: Filter | None,
        *,
        exact: bool = False,  # noqa: ARG002  # it always is
    ) -> list[Match]:
        shelf = self._shelf(collection)
        scores = (shelf.matrix @ vector).tolist() if shelf.documents else []
        scored = zip(shelf.passages(), scores, strict=True)
        return _best([Match(passage.id, score) for passage, score in scored if shelf.allows(where, passage)], limit)

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        shelf = self._shelf(collection)
        scores = bm25_scores(words(text), shelf.words)
        found = [passage for passage in shelf.passages() if passage.id in scores and shelf.allows(where, passage)]
        return _best([Match(passage.id, scores[passage.id]) for passage in found], limit)

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        def write(number: int) -> str:
            rows = [
                (
                    collection.physical,
                    one.record.id,
                    number,
                    msgspec.msgpack.encode((one.record, one.passages)),
                    one.vectors.tobytes(),
                )
                for one in documents
            ]
            self._writing.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)", rows)
            return self._renew(collection, number)

        return await self._transact(write)

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        def delete(number: int) -> Deletion:
            rows = [(collection.physical, identifier) for identifier in set(ids)]
            deleted = self._writing.executemany("DELETE FROM documents WHERE physical = ? AND id = ?", rows).rowcount
            return Deletion(max(0, deleted), self._renew(collection, number))

        return await self._transact(delete)

    def _renew(self, collection: Collection, number: int) -> str:
        """Give the collection's entry its new version; raises UnknownCollection and CollectionChanged."""
        key = (collection.tenant, collection.name)
        row = self._writing.execute(_ENTRY, key).fetchone()
        found = msgspec.msgpack.decode(row[0], type=Collection) if row else None
        if found is None or collection.physical not in found.places:
            raise UnknownCollection(collection.name, [])
        check_generation(found, collection)
        entry = structs.replace(found, version=str(number))
        values = (msgspec.msgpack.encode(entry), *key)
        self._writing.execute("UPDATE entries SET entry = ? WHERE tenant = ? AND name = ?", values)
        return entry.version

    async def _transact(self, change: Callable[[int], T]) -> T:
        """Run a change in a thread, with a number that no other change has; all of it or nothing."""

        def run() -> T:
            with self._lock, _translated(), _transaction(self._writing):
                return change(self._writing.execute("UPDATE counter SET n = n + 1 RETURNING n").fetchall()[0][0])

        return await asyncio.to_thread(run)

    def _shelf(self, collection: Collection) -> "_SharedShelf":
        self._catch_up()
        shelf = super()._shelf(collection)
        assert isinstance(shelf, _SharedShelf)
        return shelf

    def _catch_up(self) -> None:
        with _translated():
            (seen,) = self._reading.execute("PRAGMA data_version").fetchone()
            if seen != self._seen:
                self._load()
                self._seen = seen

    def _load(self) -> None:
        """Take over entries, and the documents that another write wrote than the one that is known."""
        with _transaction(self._reading, "BEGIN"):
            entries = [msgspec.msgpack.decode(row[0], type=Collection) for row in self._reading.execute(_ENTRIES)]
            rows: set[Row] = set(self._reading.execute(_ROWS))
            documents = {row: self._document(row) for row in rows - self._rows}
        shelves: dict[str, _SharedShelf] = {}
        for entry in entries:
            beside = self._kept(entry.at(entry.other)) if entry.other else None
            shelves[entry.physical] = live = self._kept(entry)
            live.beside = beside
            if beside:
                shelves[beside.collection.physical], beside.beside = beside, None
        for physical, identifier, _ in self._rows - rows:
            if shelf := shelves.get(physical):
                shelf.remove(identifier)
        for (physical, _, _), document in documents.items():
            shelves[physical].add(document)
        self._rows = rows
        live_ones = [shelves[entry.physical] for entry in entries]
        self._shelves = {(shelf.collection.tenant, shelf.collection.name): shelf for shelf in live_ones}

    def _kept(self, entry: Collection) -> "_SharedShelf":
        """Return the shelf of an entry: the one there is, or a new one."""
        try:
            shelf = super()._shelf(entry)
        except UnknownCollection:
            return _SharedShelf(entry)
        assert isinstance(shelf, _SharedShelf)
        shelf.collection = entry
        return shelf

    def _document(self, row: Row) -> EmbeddedDocument:
        texts, vectors = self._reading.execute(_DOCUMENT, row[:2]).fetchone()
        record, passages = msgspec.msgpack.decode(texts, type=tuple[Record, list[Passage]])
        return EmbeddedDocument(record, passages, np.frombuffer(vectors, np.float32).reshape(len(passages), -1))


_ENTRY: Final = "SELECT entry FROM entries WHERE tenant = ? AND name = ?"
_ENTRIES: Final = "SELECT entry FROM entries"
_ROWS: Final = "SELECT physical, id, changed FROM documents"
_DOCUMENT: Final = "SELECT texts, vectors FROM documents WHERE physical = ? AND id = ?"


class _SharedShelf(_Shelf):
    """One collection as this process knows it, ready to be searched."""

    def __init__(self, collection: Collection) -> None:
        super().__init__(collection)
        self.words: dict[str, list[str]] = {}
        self._matrix: np.ndarray[tuple[int, int], np.dtype[np.float32]] | None = None

    @property
    def matrix(self) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """The vectors of all passages, in their order; there must be one."""
        if self._matrix is None:
            self._matrix = np.concatenate([document.vectors for document in self.documents.values()])
        return self._matrix

    def add(self, document: EmbeddedDocument) -> None:
        self.remove(document.record.id)
        self.documents[document.record.id] = document
        self.words.update({passage.id: words(passage.content) for passage in document.passages})

    def remove(self, identifier: str) -> None:
        self._matrix = None
        if document := self.documents.pop(identifier, None):
            for passage in document.passages:
                del self.words[passage.id]

    def allows(self, where: Filter | None, passage: Passage) -> bool:
        return where is None or self.meets(where, passage, self.documents[passage.document_id].record)


@asynccontextmanager
async def open_shared_store(directory: Path) -> AsyncIterator[SharedStore]:
    """Open the file in a directory that other processes may have open too."""
    with (
        closing(_connect(directory / "shared.sqlite")) as reading,
        closing(_connect(directory / "shared.sqlite")) as writing,
    ):
        yield SharedStore(reading, writing)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with _transaction(connection):
        for statement in TABLES.split(";"):
            connection.execute(statement)
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def _translated() -> Iterator[None]:
    """Raise StoreUnavailable where SQLite failed."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The shared store could not do this now: {error}") from error
