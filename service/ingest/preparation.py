"""Everything of an import that comes before embedding: lines to batches that are ready to be embedded and written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from service.ingest.chunking import Chunker
from service.ingest.decoding import decode_line
from service.ingest.models import FailedLine, Item
from service.ingest.passages import passages_of, record_of
from service.ingest.streams import Line
from service.ingest.tally import Outcome
from service.ingest.target import Fitted, Target
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
        chunker: Chunker,
        fingerprint: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._target = target
        self._kind = kind
        self._chunker = chunker
        self._fingerprint = fingerprint
        self._clock = clock
        self._unwritten: dict[str, str] = {}

    async def batches(self, lines: AsyncIterable[Line]) -> AsyncGenerator[Batch]:
        """Yield batches in the order of the lines; hold no more than one group of lines and its batches."""
        async for group in _groups(lines):
            items, failures = await asyncio.to_thread(self._decode, group)
            collection, fitted, misfits = await self._target.fit(items)
            latest = list({one.item.id: one for one in fitted}.values())
            records = await asyncio.to_thread(self._records, latest)
            unchanged, changed = await self._compare(collection, records)
            documents = await asyncio.to_thread(self._documents, changed)
            first, *others = _runs(documents)
            yield Batch(collection, first, unchanged, len(fitted) - len(latest), [*failures, *misfits])
            for run in others:
                yield Batch(collection, run)

    def written(self, batch: Batch) -> None:
        """Take note that a batch is in the store, which tells of it from now on."""
        for document in batch.documents:
            if self._unwritten.get(document.record.id) == document.record.content_hash:
                del self._unwritten[document.record.id]

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
        unchanged: list[str] = []
        changed: list[tuple[Record, Outcome]] = []
        for record in records:
            if stored.get(record.id) == record.content_hash:
                unchanged.append(record.id)
            else:
                changed.append((record, "updated" if record.id in stored else "created"))
                self._unwritten[record.id] = record.content_hash
        return unchanged, changed

    def _decode(self, group: Sequence[Line]) -> tuple[list[Item], list[FailedLine]]:
        decoded = [decode_line(line, self._kind) for line in group]
        items = [found for found in decoded if isinstance(found, Item)]
        return items, [found for found in decoded if isinstance(found, FailedLine)]

    def _records(self, fitted: Sequence[Fitted]) -> list[Record]:
        now = self._clock().astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
        return [record_of(one, self._fingerprint, now) for one in fitted]

    def _documents(self, changed: Sequence[tuple[Record, Outcome]]) -> list[Document]:
        return [
            Document(record, passages_of(record, self._kind, self._chunker), outcome) for record, outcome in changed
        ]


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
