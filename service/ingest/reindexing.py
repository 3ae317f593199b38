"""Another model or length of passages for a collection, without downtime: built beside, compared, switched, kept."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct, structs

from service.errors import (
    CollectionChanged,
    Conflict,
    FieldError,
    InvalidRequest,
    RetrievalError,
    StoreUnavailable,
    UnknownCollection,
)
from service.ingest.backfill import Backfill, Progress
from service.ingest.chunking import SMALLEST_WINDOW
from service.ingest.comparing import Comparer, Comparison
from service.ingest.shapes import Shapes, passage_window
from service.ingest.target import MOST_ATTEMPTS
from service.ingest.writing import Writer
from service.models import Collection, Generation, GenerationState
from service.stores.base import Store
from service.stores.catalog import find_collection

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 5.0
"""Between two attempts to go on building, while the store or the model does not answer."""


class ReindexRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /collections/{name}/reindex` takes; what is left out stays as it is."""

    model: str | None = None
    passage_tokens: int | None = None
    """0: as long as the model reads."""
    force: bool = False
    """Switch however unlike the answers are."""


class Reindexer:
    """Changes generations of collections. What it builds is built by this process, from the entry's state on."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        shapes: Shapes,
        comparer: Comparer,
        models: Callable[[], Awaitable[list[str]]],
        outlast: Callable[[Collection], Awaitable[None]],
    ) -> None:
        self._store = store
        self._writer = writer
        self._shapes = shapes
        self._comparer = comparer
        self._models = models
        self._outlast = outlast
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Progress] = {}

    async def start(self, tenant: str, name: str, request: ReindexRequest) -> Collection:
        """Begin to build the next generation; with `force`, switch to one that waits.

        Raises InvalidRequest for what cannot be built, Conflict where a reindex is under way, ModelUnavailable.
        """
        entry = await find_collection(self._store, tenant, name)
        if entry.other and entry.other.state == "waiting" and request.force and _is_meant(request, entry.other):
            return await self._switch(entry, comparison_of(entry.other))
        wanted = await self._wanted(entry, request)

        def announce(current: Collection) -> Collection:
            _check_idle(current)
            numbers = current.generation, current.other.number if current.other else 0
            return structs.replace(current, other=structs.replace(wanted, number=max(numbers) + 1))

        stored = await self._change(tenant, name, announce)
        self._begin(stored, force=request.force)
        return stored

    async def rollback(self, tenant: str, name: str) -> Collection:
        """Go back to the kept generation, and keep the present one; raises Conflict where none is kept."""

        def swap(current: Collection) -> Collection:
            if current.other is None or current.other.state != "kept":
                raise Conflict(f"Collection {name!r} has no kept generation to go back to.")
            return _swapped(current, Comparison(reason="Rolled back."))

        entry = await find_collection(self._store, tenant, name)
        if entry.other and entry.other.state == "kept":
            await self._shapes.of(entry.at(entry.other))  # loaded before anybody searches it
        stored = await self._change(tenant, name, swap)
        _log(stored, "rolled back")
        return stored

    async def drop(self, tenant: str, name: str) -> Collection:
        """Give up a reindex, or drop the kept generation; raises Conflict where there is neither."""

        def alone(current: Collection) -> Collection:
            if current.other is None:
                raise Conflict(f"Collection {name!r} has one generation; there is nothing to drop.")
            return structs.replace(current, other=None)

        stored = await self._change(tenant, name, alone)
        _log(stored, "has one generation")
        return stored

    async def resume(self, tenants: Iterable[str]) -> None:
        """Go on with what an earlier process was building; only for a store that no other process has."""
        for tenant in sorted(tenants):
            for entry in await self._store.collections(tenant):
                if entry.other and entry.other.state in {"building", "comparing"}:
                    self._begin(entry, force=False)

    def progress(self, entry: Collection) -> Progress | None:
        """Return how far this process has come; None where it builds nothing of the collection."""
        return self._progress.get(entry.other.physical) if entry.other else None

    async def close(self) -> None:
        """Stop building. What was built stays, and is gone on with at the next start."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wanted(self, entry: Collection, request: ReindexRequest) -> Generation:
        """Return the generation that is asked for; raises InvalidRequest."""
        model = entry.model if request.model is None else request.model
        known = await self._models()
        if model and model not in known:
            raise InvalidRequest(
                FieldError("/model", f"there is no model {model!r} here; there are: {', '.join(known)}")
            )
        longest = passage_window((await self._shapes.of_model(model, 0)).embedder)
        tokens = entry.passage_tokens if request.passage_tokens is None else request.passage_tokens
        if entry.kind == "faq" and tokens:
            detail = "the entries of a faq collection are not cut into passages; leave it out"
            raise InvalidRequest(FieldError("/passage_tokens", detail))
        if request.passage_tokens and not SMALLEST_WINDOW <= tokens <= longest:
            detail = f"{model or 'this model'} takes {SMALLEST_WINDOW} to {longest}, or 0 for as long as it reads"
            raise InvalidRequest(FieldError("/passage_tokens", detail))
        shape = await self._shapes.of_model(model, tokens)
        return Generation(number=0, fingerprint=shape.fingerprint, model=model, passage_tokens=tokens)

    def _begin(self, entry: Collection, *, force: bool) -> None:
        assert entry.other
        physical = entry.other.physical
        self._progress[physical] = Progress()
        task = self._tasks[physical] = asyncio.create_task(self._build(entry, force=force))
        task.add_done_callback(lambda _: (self._tasks.pop(physical, None), self._progress.pop(physical, None)))
        _log(entry, "building")

    async def _build(self, entry: Collection, *, force: bool) -> None:
        """Build, compare and switch; tries again for as long as the generation is wanted."""
        assert entry.other
        progress = self._progress[entry.other.physical]
        while True:
            try:
                await self._advance(entry, progress, force=force)
            except (CollectionChanged, UnknownCollection):
                logger.info("a reindex was given up", extra={"collection": entry.name})
            except RetrievalError as error:
                progress.problem = str(error)
                logger.warning("a reindex does not go on: %s", error, extra={"collection": entry.name})
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception:
                progress.problem = "An error of the service; the log says which."
                logger.exception("a reindex does not go on", extra={"collection": entry.name})
                await asyncio.sleep(RETRY_SECONDS)
                continue
            return

    async def _advance(self, entry: Collection, progress: Progress, *, force: bool) -> None:
        await self._shapes.of(entry.at(_other(entry)))
        await self._outlast(entry)  # of writes that began before others could know of the next generation
        backfill = Backfill(self._store, self._writer, entry, progress)
        await backfill.run()
        progress.problem = ""
        entry = await self._enter(entry, "comparing", Comparison())
        comparison = await self._comparer.compare(entry, backfill.titles)
        if comparison.is_poor and not force:
            await self._enter(entry, "waiting", comparison)
        else:
            await self._switch(entry, comparison)

    async def _enter(self, entry: Collection, state: GenerationState, comparison: Comparison) -> Collection:
        def enter(current: Collection) -> Collection:
            other = _same_other(current, entry)
            return structs.replace(current, other=structs.replace(other, state=state, detail=_encoded(comparison)))

        stored = await self._change(entry.tenant, entry.name, enter)
        _log(stored, state)
        return stored

    async def _switch(self, entry: Collection, comparison: Comparison) -> Collection:
        """Let the next generation take over; the old one is kept as long as it can be written to."""
        can_be_kept = await self._is_usable(entry)

        def swap(current: Collection) -> Collection:
            _same_other(current, entry)
            swapped = _swapped(current, comparison)
            return swapped if can_be_kept else structs.replace(swapped, other=None)

        stored = await self._change(entry.tenant, entry.name, swap)
        _log(stored, "switched")
        return stored

    async def _is_usable(self, entry: Collection) -> bool:
        try:
            return (await self._shapes.of(entry)).fingerprint == entry.fingerprint
        except RetrievalError:
            return False

    async def _change(self, tenant: str, name: str, change: Callable[[Collection], Collection]) -> Collection:
        """Change the entry as it is now; raises what `change` raises."""
        for _ in range(MOST_ATTEMPTS):
            async with self._writer.alone(tenant, name):
                entry = await find_collection(self._store, tenant, name)
                if stored := await self._store.put_collection(change(entry), entry):
                    return stored
            await asyncio.sleep(PAUSE_SECONDS)
        raise StoreUnavailable(f"Collection {name!r} is being changed all the time; try again.")


def _check_idle(entry: Collection) -> None:
    """Raise Conflict where a reindex is under way."""
    other = entry.other
    if other is None or other.state == "kept":
        return
    way_out = f"DELETE /collections/{entry.name}/reindex gives it up"
    if other.state == "waiting":
        reason = comparison_of(other).reason
        raise Conflict(f"A reindex waits: {reason} The same with `force` switches; {way_out}.")
    raise Conflict(f"A reindex is under way ({other.state}); {way_out}.")


def _is_meant(request: ReindexRequest, other: Generation) -> bool:
    """Whether a request names the generation that there is, or none."""
    return request.model in {None, other.model} and request.passage_tokens in {None, other.passage_tokens}


def _other(entry: Collection) -> Generation:
    assert entry.other
    return entry.other


def _same_other(current: Collection, entry: Collection) -> Generation:
    """Return the generation beside; raises CollectionChanged where it is another than the entry's."""
    other = current.other
    if other is None or other.physical != _other(entry).physical or other.state == "kept":
        raise CollectionChanged(f"The next generation of collection {entry.name!r} was given up.")
    return other


def _swapped(entry: Collection, comparison: Comparison) -> Collection:
    """Return the entry with its generations in each other's place."""
    kept = Generation(
        number=entry.generation,
        physical=entry.physical,
        fingerprint=entry.fingerprint,
        model=entry.model,
        passage_tokens=entry.passage_tokens,
        state="kept",
        detail=_encoded(comparison),
    )
    return structs.replace(entry.at(_other(entry)), other=kept, is_beside=False)


def _encoded(comparison: Comparison) -> str:
    return msgspec.json.encode(comparison).decode()


def comparison_of(other: Generation) -> Comparison:
    """Return what came of comparing a generation with the one beside it."""
    return msgspec.json.decode(other.detail, type=Comparison) if other.detail else Comparison()


def _log(entry: Collection, event: str) -> None:
    logger.info("a reindex: %s", event, extra={"collection": entry.name, "generation": entry.generation})
