"""Everything of an import that comes before embedding: lines to batches that are ready to be embedded and written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from service.errors import UnknownCollection
from service.ingest.decoding import decode_line
from service.ingest.hashing import digest_of
from service.ingest.models import FailedLine, Fitted, Item
from service.ingest.passages import record_of
from service.ingest.shapes import Shape
from service.ingest.streams import Line
from service.ingest.tally import Outcome
from service.ingest.target import Target
from service.models import Collection, Kind, Passage, Record
from service.stores.base import Store

MOST_LINES: Final = 32
"""Read and prepared at once."""
MOST_BYTES: Final = 1_000_000
"""The same, but for a line that has more by itself."""
MOST_PASSAGES: Final = 64
"""Written at once, but for a document that has more by itself."""


class Document(Struct, frozen=True):
    """A document to be embedded and written, and what it then is."""

    record: Record
    passages: list[Passage]
    outcome: Outcome


class Batch(Struct, frozen=True):
    """What is written, and then reported, at once."""

    collection: Collection | None
    """None only where the collection does not exist and there is nothing to write."""
    documents: Sequence[Document] = ()
    unchanged: Sequence[str] = ()
    """Ids."""
    superseded: int = 0
    failures: Sequence[FailedLine] = ()


class Preparation:
    """The preparation of one import. What takes long runs in a thread."""

    def __init__(
        self,
        store: Store,
        target: Target,
        kind: Kind,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._target = target
        self._kind = kind
        self._clock = clock
        self._unwritten: dict[str, str] = {}

    async def batches(self, lines: AsyncIterable[Line]) -> AsyncGenerator[Batch]:
        """Yield batches in the order of the lines; hold no more than one group of lines and its batches."""
        async for group in _groups(lines):
            items, failures = await asyncio.to_thread(self._decode, group)
            collection, fitted, misfits = await self._target.fit(items)
            latest = list({one.item.id: one for one in fitted}.values())
            prepared = await self._prepare(collection, latest)
            first, *others = _runs(prepared.documents)
            superseded = len(fitted) - len(latest)
            yield Batch(prepared.collection, first, prepared.unchanged, superseded, [*failures, *misfits])
            for run in others:
                yield Batch(prepared.collection, run)

    def written(self, batch: Batch) -> None:
        """Take note that a batch is in the store, which tells of it from now on."""
        for document in batch.documents:
            if self._unwritten.get(document.record.id) == document.record.content_hash:
                del self._unwritten[document.record.id]

    async def _prepare(self, collection: Collection | None, latest: Sequence[Fitted]) -> Batch:
        """Find out which documents are to be written, and cut them; their batch may still be too large.

        Begins again where the collection gets other generations meanwhile: what it was asked about may be gone.
        """
        while True:
            shape = await self._target.shape(collection)
            records = await asyncio.to_thread(self._records, latest, shape)
            try:
                unchanged, changed = await self._compare(collection, records)
            except UnknownCollection:
                current = await self._target.entry()
                if collection is None or current is None or current.places == collection.places:
                    raise
                collection = current
            else:
                return Batch(collection, await asyncio.to_thread(self._documents, changed, shape), unchanged)

    async def _compare(
        self, collection: Collection | None, records: Sequence[Record]
    ) -> tuple[list[str], list[tuple[Record, Outcome]]]:
        """Return the ids of the documents that the store holds already, and the other documents."""
        if collection is None:
            return [], []
        # An earlier batch may be on its way to the store: what is stored then counts, not what is stored now. Taken
        # before the store is asked, as the batch may arrive meanwhile.
        on_their_way = dict(self._unwritten)
        stored = await self._store.content_hashes(collection, [record.id for record in records]) | on_their_way
        lacking = await self._lacking(collection, records, on_their_way)
        unchanged: list[str] = []
        changed: list[tuple[Record, Outcome]] = []
        for record in records:
            if stored.get(record.id) == record.content_hash and record.id not in lacking:
                unchanged.append(record.id)
            else:
                changed.append((record, "updated" if record.id in stored else "created"))
                self._unwritten[record.id] = record.content_hash
        return unchanged, changed

    async def _lacking(
        self, collection: Collection, records: Sequence[Record], on_their_way: Mapping[str, str]
    ) -> set[str]:
        """Return the documents that a complete generation beside the live one does not hold as they are.

        A write may have failed between the two; one that is being built is not complete, and gets them in any case.
        """
        other = collection.other
        if other is None or other.state == "building":
            return set()
        beside = await self._store.content_hashes(collection.at(other), [record.id for record in records])
        return {
            record.id
            for record in records
            if digest_of(on_their_way.get(record.id, beside.get(record.id))) != digest_of(record.content_hash)
        }

    def _decode(self, group: Sequence[Line]) -> tuple[list[Item], list[FailedLine]]:
        decoded = [decode_line(line, self._kind) for line in group]
        items = [found for found in decoded if isinstance(found, Item)]
        return items, [found for found in decoded if isinstance(found, FailedLine)]

    def _records(self, fitted: Sequence[Fitted], shape: Shape) -> list[Record]:
        now = self._clock().astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        return [record_of(one, shape.tag, now) for one in fitted]

    def _documents(self, changed: Sequence[tuple[Record, Outcome]], shape: Shape) -> list[Document]:
        passages = shape.cut([record for record, _ in changed], self._kind)
        pairs = zip(changed, passages, strict=True)
        return [Document(record, of_record, outcome) for (record, outcome), of_record in pairs]


async def _groups(lines: AsyncIterable[Line]) -> AsyncGenerator[list[Line]]:
    group: list[Line] = []
    size = 0
    async for line in lines:
        group.append(line)
        size += len(line.data)
        if len(group) == MOST_LINES or size >= MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _runs(documents: Sequence[Document]) -> Iterator[list[Document]]:
    """Divide documents into runs of at most MOST_PASSAGES passages or one document; at least one run."""
    run: list[Document] = []
    passages = 0
    for document in documents:
        if run and passages + len(document.passages) > MOST_PASSAGES:
            yield run
            run, passages = [], 0
        run.append(document)
        passages += len(document.passages)
    yield run
