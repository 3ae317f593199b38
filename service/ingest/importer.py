"""The flow of an import: lines in, batches embedded and written, a report after each acknowledged batch."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from datetime import UTC, datetime

from service.ingest.ahead import one_ahead
from service.ingest.models import ImportReport
from service.ingest.preparation import Batch, Preparation
from service.ingest.shapes import Shapes
from service.ingest.streams import Line
from service.ingest.tally import Tally
from service.ingest.target import Target
from service.ingest.writing import Writer
from service.models import Kind
from service.stores.base import Store


class Importer:
    """Imports documents and FAQ entries. `clock` gives the time of a record's `updated_at`."""

    def __init__(
        self, store: Store, shapes: Shapes, writer: Writer, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._shapes = shapes
        self._writer = writer
        self._clock = clock
        self._checked: dict[str, str] = {}

    async def run(self, tenant: str, name: str, kind: Kind, lines: AsyncIterable[Line]) -> AsyncGenerator[ImportReport]:
        """Import lines; yields a report, cumulative, after each batch is durable, and one in any case.

        A line that cannot be taken fails alone. Raises InvalidRequest and Conflict before anything is read, and
        StoreUnavailable, UnknownCollection (deleted meanwhile) and ModelUnavailable at any time: what was reported
        stays done, and importing the same again completes it.
        """
        target = Target(self._store, self._shapes, tenant, name, kind)
        entry = await target.entry()
        tally = Tally(name, entry.version if entry else "")
        preparation = Preparation(self._store, target, kind, self._clock)
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
            written = await self._writer.write(batch.collection, batch.documents)
            tally.version = written.version
            tally.passages += written.passages
        tally.fail(batch.failures)
        tally.supersede(batch.superseded)
        for identifier in batch.unchanged:
            tally.settle(identifier, "unchanged")
        for one in batch.documents:
            tally.settle(one.record.id, one.outcome)
