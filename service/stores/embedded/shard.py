"""One index of one collection: a Qdrant Edge shard, derived from the documents and never the only place of anything."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import qdrant_edge as qdrant

from service.models import FieldType, Match, Passage, Scalar
from service.stores.base import ValueCount, Vector
from service.stores.embedded.directory import write_durably
from service.stores.embedded.documents import Changes, StoredDocument
from service.stores.embedded.filters import to_qdrant
from service.stores.embedded.keywords import keyword_request
from service.stores.embedded.payloads import key_of, to_passage, to_payloads
from service.stores.embedded.values import commonest_values, extreme_values, has_many_values
from service.stores.filters import BUILT_IN_FIELDS, Filter

POINTS_OF_UPDATE: Final = 64
"""An update holds the interpreter lock: about 0.06 ms for each point."""
POINTS_OF_DOCUMENT: Final = 512
"""A document of up to so many passages changes in one update; readers see a longer one change in steps."""
POINTS_OF_FLUSH: Final = 5000
"""Points after which `is_due` asks for a flush. It holds the interpreter lock for some 40 ms, longer where the disk is
slow; what was not flushed is replayed after a crash, at 0.2 ms a point."""
HNSW_BREADTH: Final = 512
"""Candidates that a search of the index keeps. On real passages recall@10 is 0.999 with it and 0.97 without (0.91 for
queries off the topic), for 0.4 ms more; a scan of 20,000 takes 1.9 ms."""
HNSW_BREADTH_FILTERED: Final = 320
"""The same under a filter, which costs as much again for each candidate (ADR 0009)."""
WARMING_BYTES: Final = 1 << 20
UUID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COLD: Final = qdrant.Memory.Cold
"""Mapped files. What is not read into memory at load cannot hold the interpreter lock; `warm` reads it without."""

Batch = list[tuple[list[str], list[qdrant.Point]]]
"""Points by documents, cut into what one update takes."""


class DamagedShard(Exception):
    """The index does not hold what the documents say; it is to be built again."""


class Shard:
    """An open shard. `applied` is the place in the documents' log up to which it holds everything.

    `dead` is about how many deleted passages it keeps room for, as it never gives any back.

    All methods block. Queries may come from several threads, all else comes from the thread that owns the shard.
    """

    def __init__(self, folder: Path, shard: qdrant.EdgeShard, applied: int = 0, dead: int = 0) -> None:
        self.folder = folder
        self.applied = applied
        self.dead = dead
        self._shard = shard
        self._unflushed = 0

    @staticmethod
    def create(folder: Path, dimensions: int, fields: Mapping[str, FieldType]) -> "Shard":
        """Create an empty shard in a new folder, which can be loaded from then on."""
        folder.mkdir()
        shard = Shard(folder, qdrant.EdgeShard.create(str(folder), _config(dimensions)))
        shard.index_fields(fields)
        shard.flush()
        return shard

    @staticmethod
    def load(folder: Path) -> "Shard":
        """Load a shard.

        Holds the interpreter lock: 0.7 ms for each 1,000 points that an HNSW index covers, 12 ms for the others.
        """
        applied, dead = map(int, (folder / "applied").read_text(encoding="ascii").split())
        return Shard(folder, qdrant.EdgeShard.load(str(folder)), applied, dead)

    def index_fields(self, fields: Mapping[str, FieldType]) -> None:
        """Make the payload indexes that are missing."""
        existing = self._shard.info().payload_schema.keys()
        wanted: dict[str, Any] = {"content": _text_index()}
        for name, field_type in {**BUILT_IN_FIELDS, **fields}.items():
            wanted[key_of(name, field_type)] = _index_of(field_type)
        for key, index in wanted.items():
            if key not in existing:
                self._shard.update(qdrant.UpdateOperation.create_field_index(key, index))

    def prepare(self, documents: Sequence[StoredDocument], fields: Mapping[str, FieldType]) -> Batch:
        """Make the points of documents; raises where one cannot be stored, before anything is."""
        batch: Batch = []
        size = 0
        for document in documents:
            points = _points(document, fields)
            if not batch or size + len(points) > POINTS_OF_UPDATE:
                batch.append(([], []))
                size = 0
            batch[-1][0].append(document.record.id)
            batch[-1][1].extend(points)
            size += len(points)
        return batch

    def apply(self, batch: Batch, deleted: Sequence[str], replaced: set[str], applied: int) -> None:
        """Take over a stretch of the log: the documents in `batch`, of which `replaced` may be here already."""
        for ids, points in batch:
            if old := replaced.intersection(ids):
                self._delete_passages(old, {point.id for point in points})
            for start in range(0, len(points), POINTS_OF_DOCUMENT):
                self._shard.update(qdrant.UpdateOperation.upsert_points(points[start : start + POINTS_OF_DOCUMENT]))
        if deleted:
            self._delete_passages(deleted, set())
        self._unflushed += sum(len(points) for _, points in batch) + len(deleted)
        self.applied = applied

    def replay(self, changes: Changes, fields: Mapping[str, FieldType]) -> None:
        """Take over a stretch of the log that may be here in part; raises DamagedShard where it does not show after."""
        batch = self.prepare(changes.written, fields)
        ids = {document.record.id for document in changes.written}
        self.apply(batch, changes.deleted, ids, changes.seq)
        self._verify(changes)

    def nearest(self, vector: Vector, limit: int, where: Filter | None, *, exact: bool = False) -> list[Match]:
        breadth = HNSW_BREADTH if where is None else HNSW_BREADTH_FILTERED
        query, params = qdrant.Query.Nearest(vector.tolist()), qdrant.SearchParams(hnsw_ef=breadth, exact=exact)
        return self._query(qdrant.QueryRequest(limit, query=query, filter=to_qdrant(where), params=params))

    def matching(self, text: str, limit: int, where: Filter | None) -> list[Match]:
        return self._query(keyword_request(text, limit, to_qdrant(where)))

    def passages(self, ids: Iterable[str], where: Filter | None = None) -> list[Passage]:
        points, demanded = _point_ids(ids), to_qdrant(where)
        found: Sequence[qdrant.Record | qdrant.ScoredPoint]
        if demanded is None:
            found = self._shard.retrieve(points, with_payload=True, with_vector=False)
        else:
            theirs = qdrant.Filter(must=[qdrant.HasIdCondition(set(points)), demanded])
            found = self._shard.query(qdrant.QueryRequest(len(points), filter=theirs, with_payload=True))
        return [to_passage(point.id, point.payload or {}) for point in found]

    def document_ids(self, where: Filter, limit: int) -> set[str]:
        """Return the documents of up to `limit` passages that meet the filter."""
        request = qdrant.QueryRequest(limit, filter=to_qdrant(where), with_payload=["document_id"])
        return {(point.payload or {})["document_id"] for point in self._shard.query(request)}

    def count(self, where: Filter | None = None) -> int:
        return self._shard.count(qdrant.CountRequest(exact=True, filter=to_qdrant(where)))

    def values(self, field: str, field_type: FieldType, limit: int) -> list[ValueCount] | None:
        """Return the commonest values of a field; None where it has so many that others would wait too long for it."""
        if has_many_values(self._shard, field, field_type):
            return None
        return commonest_values(self._shard, field, field_type, limit)

    def bounds(self, field: str, field_type: FieldType) -> tuple[Scalar, Scalar] | None:
        """Return the smallest and the largest value of a field; None where no passage has one."""
        return extreme_values(self._shard, field, field_type)

    def uncovered(self) -> int:
        """Count the passages that no HNSW index covers; about right, and cheap."""
        info = self._shard.info()
        return info.points_count - info.indexed_vectors_count

    def is_due(self) -> bool:
        return self._unflushed >= POINTS_OF_FLUSH

    def flush(self) -> None:
        """Make durable what was applied, and remember how far that goes."""
        self._shard.flush()
        write_durably(self.folder / "applied", f"{self.applied} {self.dead}\n")
        self._unflushed = 0

    def settle(self) -> None:
        """Write changed pages to disk. What is flushed or closed right after holds the interpreter lock only shortly.

        Qdrant holds it while it waits for the disk; this does not.
        """
        for file in _files(self.folder):
            with suppress(FileNotFoundError), file.open("rb") as stream:
                os.fdatasync(stream.fileno())

    def optimize(self) -> None:
        """Build the HNSW index. Holds the interpreter lock for minutes: never in the process that serves."""
        self._shard.optimize()

    def drop_field(self) -> bool:
        """Drop one payload index of a shard that is done with; False where none is left.

        Closing a large shard at once holds the interpreter lock too long, for the most part to free these.
        """
        keys = sorted(self._shard.info().payload_schema)
        if keys:
            self._shard.update(qdrant.UpdateOperation.delete_field_index(keys[0]))
        return bool(keys)

    def close(self) -> None:
        """Release the shard; queries that begin after this fail."""
        self._shard.close()

    def _query(self, request: qdrant.QueryRequest) -> list[Match]:
        return [Match(str(point.id), point.score) for point in self._shard.query(request)]

    def _delete_passages(self, document_ids: Iterable[str], kept: set[Any]) -> None:
        theirs = qdrant.Filter(must=[_of_documents(document_ids)], must_not=[qdrant.HasIdCondition(kept)])
        before = self._shard.info().points_count
        self._shard.update(qdrant.UpdateOperation.delete_points_by_filter(theirs))
        self.dead += before - self._shard.info().points_count

    def _verify(self, changes: Changes) -> None:
        """Read the changed passages back: an operation that Qdrant takes for an old one is skipped without a word."""
        expected = {passage.id: document.seq for document in changes.written for passage in document.passages}
        found = self._shard.retrieve(_point_ids(expected), with_payload=["seq"], with_vector=False)
        touched = [document.record.id for document in changes.written] + changes.deleted
        count = self._shard.count(qdrant.CountRequest(exact=True, filter=qdrant.Filter(must=[_of_documents(touched)])))
        if {str(point.id): (point.payload or {})["seq"] for point in found} != expected or count != len(expected):
            raise DamagedShard(f"{self.folder} does not hold what was written to it")


def warm(folder: Path) -> None:
    """Read a shard's files once, so that queries find them in the page cache; holds the interpreter lock nowhere."""
    buffer = bytearray(WARMING_BYTES)
    for file in _files(folder):
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def _files(folder: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(folder):
        yield from (Path(directory, name) for name in names)


def _config(dimensions: int) -> qdrant.EdgeConfig:
    # The write-ahead log stays on though SQLite is the log: it numbers the operations. Without it the numbers start
    # again lower after a crash, and Qdrant skips what is replayed as older than what it has.
    return qdrant.EdgeConfig(
        vectors=qdrant.EdgeVectorParams(size=dimensions, distance=qdrant.Distance.Cosine, memory=COLD),
        hnsw_config=qdrant.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000, memory=COLD),
        optimizers=qdrant.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1),
        payload_memory=COLD,
        id_tracker_memory=COLD,
        wal_enabled=True,
    )


def _index_of(field_type: FieldType) -> Any:
    kinds = {
        "integer": qdrant.IntegerIndexParams,
        "boolean": qdrant.IntegerIndexParams,
        "number": qdrant.FloatIndexParams,
        "date": qdrant.DatetimeIndexParams,
    }
    return kinds.get(field_type, qdrant.KeywordIndexParams)(memory=COLD)


def _text_index() -> qdrant.TextIndexParams:
    return qdrant.TextIndexParams(
        tokenizer=qdrant.TokenizerType.Code,  # of snake_case_name the parts and the whole; on prose as good as Word
        lowercase=True,
        ascii_folding=True,
        stopwords=qdrant.Language.English,
        stemmer=qdrant.SnowballParams(qdrant.SnowballLanguage.English),
        scoring=True,
        memory=COLD,
    )


def _points(document: StoredDocument, fields: Mapping[str, FieldType]) -> list[qdrant.Point]:
    payloads = to_payloads(document, fields)
    rows = zip(document.passages, document.vectors.tolist(), payloads, strict=True)
    return [qdrant.Point(passage.id, vector, payload) for passage, vector, payload in rows]


def _of_documents(ids: Iterable[str]) -> qdrant.FieldCondition:
    return qdrant.FieldCondition("document_id", match=qdrant.MatchAny([*ids]))


def _point_ids(texts: Iterable[str]) -> list[Any]:
    """Return those that can be ids at all: Qdrant takes nothing but a UUID."""
    return [text for text in texts if UUID_PATTERN.fullmatch(text)]
