"""The documents of one collection in SQLite: the log of every acknowledged write, and the truth for the index."""

import json
import secrets
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from service.models import Passage, Record
from service.stores.base import EmbeddedDocument, ValueCount
from service.stores.embedded.databases import open_database, transaction

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    passage_count INTEGER NOT NULL,
    record BLOB NOT NULL,
    passages BLOB NOT NULL,
    vectors BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS documents_seq ON documents (seq);
CREATE TABLE IF NOT EXISTS deletions (id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deletions_seq ON deletions (seq);
CREATE TABLE IF NOT EXISTS state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq INTEGER NOT NULL,
    version TEXT NOT NULL,
    documents INTEGER NOT NULL,
    passages INTEGER NOT NULL
);
INSERT OR IGNORE INTO state VALUES (1, 0, '', 0, 0);
"""


STEP_DOCUMENTS: Final = 64
"""Read at once where all are read."""


class StoredDocument(Struct, frozen=True):
    """A document with its place in the log. `seq` rises with every document written or deleted."""

    seq: int
    record: Record
    passages: list[Passage]
    vectors: NDArray[np.float32]
    """Shape (passages, dimensions)."""


class State(Struct, frozen=True):
    """What the log has come to: changes with every commit, together with what it counts."""

    seq: int
    version: str
    documents: int
    passages: int


class Changes(Struct, frozen=True):
    """A stretch of the log: what the documents changed in it have become."""

    written: list[StoredDocument]
    deleted: list[str]
    seq: int
    """Of the last change in it."""


class Documents:
    """The table of documents. One thread writes; any may read at the same time. `state` is that of the last commit."""

    def __init__(self, file: Path) -> None:
        self._writer = open_database(file, SCHEMA)
        self._reader = open_database(file)
        self._reading = Lock()
        self.state = State(*self._writer.execute("SELECT seq, version, documents, passages FROM state").fetchone())

    def number(self, documents: Iterable[EmbeddedDocument]) -> list[StoredDocument]:
        """Give the documents the places in the log that the next `write` will put them at."""
        return [
            StoredDocument(seq, document.record, document.passages, document.vectors)
            for seq, document in enumerate(documents, self.state.seq + 1)
        ]

    def write(self, documents: Sequence[StoredDocument]) -> set[str]:
        """Create or replace documents in one durable transaction; returns the ids of those that were there before."""
        rows = [_encode(document) for document in documents]
        with transaction(self._writer):
            replaced = self._existing([document.record.id for document in documents])
            self._writer.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._writer.executemany("DELETE FROM deletions WHERE id = ?", [(row[0],) for row in rows])
            passages = sum(len(document.passages) for document in documents)
            state = self._advance(len(rows), len(rows) - len(replaced), passages - sum(replaced.values()))
        self.state = state
        return set(replaced)

    def delete(self, ids: Sequence[str]) -> list[str]:
        """Delete documents in one durable transaction; returns the ids of those that were there."""
        with transaction(self._writer):
            existing = self._existing(ids)
            self._writer.executemany("DELETE FROM documents WHERE id = ?", [(identifier,) for identifier in existing])
            numbered = [(identifier, seq) for seq, identifier in enumerate(existing, self.state.seq + 1)]
            self._writer.executemany("INSERT OR REPLACE INTO deletions VALUES (?, ?)", numbered)
            state = self._advance(len(existing), -len(existing), -sum(existing.values()))
        self.state = state
        return list(existing)

    def changes_after(self, seq: int, passages: int) -> Changes | None:
        """Return the next stretch of the log after `seq`, of about so many passages; None where there is none."""
        return read_changes(self._writer, seq, passages)

    def forget_deletions(self, until: int) -> None:
        """Drop deletions from the log that every index has taken over."""
        self._writer.execute("DELETE FROM deletions WHERE seq <= ?", (until,))

    def records(self, ids: Sequence[str]) -> list[Record]:
        query = "SELECT record FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        return self._read_records(query, [json.dumps([*ids])])

    def list_records(self, after: str, limit: int) -> list[Record]:
        query = "SELECT record FROM documents WHERE id > ? ORDER BY id LIMIT ?"
        return self._read_records(query, [after, limit])

    def content_hashes(self, ids: Sequence[str]) -> dict[str, str]:
        with self._reading:
            query = "SELECT id, content_hash FROM documents WHERE id IN (SELECT value FROM json_each(?))"
            return dict(self._reader.execute(query, [json.dumps([*ids])]))

    def largest(self, limit: int) -> list[ValueCount]:
        """Return the documents of the most passages."""
        query = "SELECT id, passage_count FROM documents WHERE passage_count > 0 ORDER BY passage_count DESC LIMIT ?"
        with self._reading:
            return [ValueCount(*row) for row in self._reader.execute(query, [limit])]

    def values(self, field: str, limit: int) -> list[ValueCount]:
        """Return the commonest keywords of a field, or titles, by reading all records; in steps, others in between."""
        counts: Counter[str] = Counter()
        rows, last = self._counted_records(0), 0
        while rows:
            for last, passages, record in rows:  # noqa: B007  # the last one begins the next step
                value = record.title if field == "title" else record.metadata.get(field, ())
                for one in {value} if isinstance(value, str) else set(value):
                    counts[one] += passages
            rows = self._counted_records(last)
        return [ValueCount(value, passages) for value, passages in counts.most_common(limit)]

    def _counted_records(self, after: int) -> list[tuple[int, int, Record]]:
        """Return rowid, number of passages and record of the next documents that have passages."""
        query = "SELECT rowid, passage_count, record FROM documents WHERE rowid > ? AND passage_count > 0 LIMIT ?"
        with self._reading:
            rows = self._reader.execute(query, (after, STEP_DOCUMENTS)).fetchall()
        return [(rowid, passages, _record(encoded)) for rowid, passages, encoded in rows]

    def close(self) -> None:
        with self._reading:
            self._reader.close()
        self._writer.close()

    def _existing(self, ids: Iterable[str]) -> dict[str, int]:
        """Return how many passages each document has, of those that exist."""
        query = "SELECT id, passage_count FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._writer.execute(query, [json.dumps([*ids])]))

    def _advance(self, changes: int, documents: int, passages: int) -> State:
        """Move the state on by so many changes, inside a transaction."""
        old = self.state
        state = State(old.seq + changes, secrets.token_hex(6), old.documents + documents, old.passages + passages)
        self._writer.execute(
            "UPDATE state SET seq = ?, version = ?, documents = ?, passages = ?",
            structs.astuple(state),
        )
        return state

    def _read_records(self, query: str, parameters: list[str | int]) -> list[Record]:
        with self._reading:
            rows = self._reader.execute(query, parameters).fetchall()
        return [_record(encoded) for (encoded,) in rows]


def read_changes(connection: sqlite3.Connection, seq: int, passages: int) -> Changes | None:
    """Do as `Documents.changes_after` does, on a connection of the caller's."""
    changed = connection.execute(
        "SELECT id, seq, passage_count FROM documents WHERE seq > ? "
        "UNION ALL SELECT id, seq, NULL FROM deletions WHERE seq > ? ORDER BY seq LIMIT ?",
        (seq, seq, max(passages, 1)),
    ).fetchall()
    written: list[str] = []
    deleted: list[str] = []
    for identifier, its_seq, count in changed:
        seq = its_seq
        (deleted if count is None else written).append(identifier)
        passages -= count or 1
        if passages <= 0:
            break
    return Changes(_load(connection, written), deleted, seq) if changed else None


def _load(connection: sqlite3.Connection, ids: list[str]) -> list[StoredDocument]:
    query = (
        "SELECT seq, record, passages, vectors FROM documents WHERE id IN (SELECT value FROM json_each(?)) ORDER BY seq"
    )
    return [_decode(*row) for row in connection.execute(query, [json.dumps(ids)])]


def _encode(document: StoredDocument) -> tuple[str, int, str, int, bytes, bytes, bytes]:
    record = document.record
    return (
        record.id,
        document.seq,
        record.content_hash,
        len(document.passages),
        zlib.compress(msgspec.msgpack.encode(record)),
        zlib.compress(msgspec.msgpack.encode(document.passages)),
        np.ascontiguousarray(document.vectors, dtype="<f4").tobytes(),
    )


def _record(encoded: bytes) -> Record:
    return msgspec.msgpack.decode(zlib.decompress(encoded), type=Record)


def _decode(seq: int, record: bytes, passages: bytes, vectors: bytes) -> StoredDocument:
    decoded = msgspec.msgpack.decode(zlib.decompress(passages), type=list[Passage])
    numbers = np.frombuffer(vectors, dtype="<f4")
    return StoredDocument(
        seq,
        _record(record),
        decoded,
        numbers.reshape(len(decoded), numbers.size // max(len(decoded), 1)),
    )
