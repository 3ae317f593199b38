"""The flow of an import: lines in, batches embedded and written, a report after each acknowledged batch."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import numpy as np

from service.embedders.base import Embedder, Vectors
from service.ingest.ahead import one_ahead
from service.ingest.chunking import Chunker
from service.ingest.models import ImportReport
from service.ingest.preparation import Batch, Preparation
from service.ingest.streams import Line
from service.ingest.tally import Tally
from service.ingest.target import Target
from service.models import Kind
from service.resilience.budgets import budgeted
from service.stores.base import EmbeddedDocument, Store

EMBEDDED_AT_ONCE: Final = 64
"""Passages; several imports take turns at the embedder."""


class Importer:
    """Imports documents and FAQ entries. `clock` gives the time of a record's `updated_at`."""

    def __init__(
        self, store: Store, embedder: Embedder, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._clock = clock
        prefix = embedder.tokenizer.encode(embedder.card.passage_prefix, add_special_tokens=False)
        self._chunker = Chunker(embedder.tokenizer, embedder.card.window - len(prefix))
        self._checked: dict[str, str] = {}

    async def run(self, tenant: str, name: str, kind: Kind, lines: AsyncIterable[Line]) -> AsyncGenerator[ImportReport]:
        """Import lines; yields a report, cumulative, after each batch is durable, and one in any case.

        A line that cannot be taken fails alone. Raises InvalidRequest and Conflict before anything is read, and
        StoreUnavailable, UnknownCollection (deleted meanwhile) and ModelUnavailable at any time: what was reported
        stays done, and importing the same again completes it.
        """
        fingerprint = self._embedder.card.fingerprint
        target = Target(self._store, tenant, name, kind, fingerprint)
        entry = await target.entry()
        tally = Tally(name, entry.version if entry else "")
        preparation = Preparation(self._store, target, kind, self._chunker, fingerprint, self._clock)
        async with aclosing(one_ahead(preparation.batches(lines))) as batches:
            async for batch in batches:
                await self._write(batch, tally)
                if batch.unchanged and not batch.documents and (entry := await target.entry()):
                    tally.version = entry.version
                preparation.written(batch)
                yield tally.report()
        changed = await target.finish_change_of_model(self._checked)
        if changed or tally.is_empty:
            tally.version = changed.version if changed else tally.version
            yield tally.report()

    async def _write(self, batch: Batch, tally: Tally) -> None:
        if batch.collection and batch.documents:
            contents = [passage.content for one in batch.documents for passage in one.passages]
            vectors = await self._embed(contents, batch.collection.tenant)
            ends = np.cumsum([len(one.passages) for one in batch.documents])
            embedded = [
                EmbeddedDocument(one.record, one.passages, of_document)
                for one, of_document in zip(batch.documents, np.split(vectors, ends[:-1]), strict=True)
            ]
            tally.version = await self._store.write(batch.collection, embedded)
            tally.passages += len(vectors)
        tally.fail(batch.failures)
        tally.supersede(batch.superseded)
        for identifier in batch.unchanged:
            tally.settle(identifier, "unchanged")
        for one in batch.documents:
            tally.settle(one.record.id, one.outcome)

    async def _embed(self, contents: list[str], tenant: str) -> Vectors:
        with budgeted(None):  # an import makes many calls: what one request may wait for Redis is not for all of them
            parts = [
                await self._embedder.embed(contents[start : start + EMBEDDED_AT_ONCE], "passage", tenant)
                for start in range(0, len(contents), EMBEDDED_AT_ONCE)
            ]
        return np.concatenate(parts)
