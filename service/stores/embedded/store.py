"""The Store port over the embedded collections."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from service.errors import DataDirectoryError, StoreUnavailable, UnknownCollection
from service.models import Collection, CollectionSize, Match, Passage, Record, Scalar
from service.stores.base import Deletion, EmbeddedDocument, ValueCount, Vector
from service.stores.catalog import check_generation, placed, type_of
from service.stores.embedded.catalog import Catalog, Place
from service.stores.embedded.collection import LiveCollection
from service.stores.embedded.directory import check_room, new_name, own_directory, remove_unknown
from service.stores.embedded.indexing import Indexer, open_indexer
from service.stores.embedded.shard import Shard
from service.stores.embedded.threads import open_readers, open_writer, run, translated
from service.stores.filters import Filter

T = TypeVar("T")
Live = dict[tuple[str, str], LiveCollection]
"""Tenant and name to what is open: all there is, as one process owns the data directory."""


class EmbeddedStore:
    """A Store in this process. The catalog is looked up in memory, queries run at once, all else on threads."""

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        live: Live,
        indexer: Indexer,
        readers: Executor,
        creator: Executor,
        dimensions: int,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._live = live
        self._indexer = indexer
        self._readers = readers
        self._creator = creator
        self._dimensions = dimensions

    async def collections(self, tenant: str) -> list[Collection]:
        owned = [live.entry for (owner, _), live in [*self._live.items()] if owner == tenant]
        return sorted(owned, key=lambda entry: entry.name)

    async def collection(self, tenant: str, name: str) -> Collection | None:
        live = self._live.get((tenant, name))
        return live.entry if live else None

    async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
        if expected is None:
            return await run(self._creator, self._create, collection)
        live = self._live.get((collection.tenant, collection.name))
        if live is None or live.entry != expected:
            return None
        arranged = await self._change(live, lambda: self._arrange(live, collection, expected))
        if arranged is None:
            return None
        stored, dropped = arranged
        for one in dropped:
            await self._indexer.forget(one)
            await run(self._creator, one.discard)
        return stored

    async def delete_collection(self, tenant: str, name: str) -> None:
        while live := self._live.get((tenant, name)):
            for one in live.generations:
                await self._indexer.forget(one)
            # Not if another call did so meanwhile: then its thread takes no more work.
            if self._live.get((tenant, name)) is live and await run(live.writer, self._remove, live):
                live.writer.shutdown(wait=False)

    async def size(self, collection: Collection) -> CollectionSize:
        return await self._read(collection, lambda live: live.size())

    async def nearest(
        self, collection: Collection, vector: Vector, limit: int, where: Filter | None, *, exact: bool = False
    ) -> list[Match]:
        if self._find(collection).is_empty:
            return []
        return await self._query(collection, where, lambda shard: shard.nearest(vector, limit, where, exact=exact))

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        return await self._query(collection, where, lambda shard: shard.matching(text, limit, where))

    async def passages(self, collection: Collection, ids: Sequence[str], where: Filter | None = None) -> list[Passage]:
        return await self._query(collection, where, lambda shard: shard.passages(ids, where))

    async def count(self, collection: Collection, where: Filter | None) -> int:
        if where is None:
            return self._find(collection).documents.state.passages
        (count,) = await self._query(collection, where, lambda shard: [shard.count(where)]) or [0]
        return count

    async def values(self, collection: Collection, field: str, limit: int) -> list[ValueCount]:
        kind = type_of(collection, field)
        return await self._read(collection, lambda live: live.values(field, kind, limit))

    async def bounds(self, collection: Collection, field: str) -> tuple[Scalar, Scalar] | None:
        kind = type_of(collection, field)
        (bounds,) = await self._query(collection, None, lambda shard: [shard.bounds(field, kind)])
        return bounds

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        live = self._find(collection)
        return await self._write(live, collection, lambda: live.write(documents))

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        live = self._find(collection)
        return await self._write(live, collection, lambda: live.delete(ids))

    async def delete_matching(self, collection: Collection, where: Filter) -> Deletion:
        live = self._find(collection)
        if where.is_contradiction:
            return Deletion(0, live.entry.version)
        return await self._write(live, collection, lambda: live.delete_matching(where))

    async def records(self, collection: Collection, ids: Sequence[str]) -> list[Record]:
        return await self._read(collection, lambda live: live.documents.records(ids))

    async def content_hashes(self, collection: Collection, ids: Sequence[str]) -> dict[str, str]:
        live = self._find(collection)
        return await self._change(live, lambda: live.content_hashes(ids))

    async def list_records(self, collection: Collection, after: str, limit: int) -> list[Record]:
        return await self._read(collection, lambda live: live.documents.list_records(after, limit))

    async def _query(self, collection: Collection, where: Filter | None, query: Callable[[Shard], list[T]]) -> list[T]:
        """Query the index, here and now.

        Qdrant Edge 0.9 holds the interpreter lock while it searches: a thread would stop the event loop just as long,
        and add the handing over (measured: 0.2 ms a query, and a quarter of the queries a second at 16 in flight).
        """
        live = self._find(collection)
        if where and where.is_contradiction:
            return []
        with translated():
            found = live.read(query)
        await asyncio.sleep(0)  # others may have their turn before the next query of the same caller
        return found

    async def _read(self, collection: Collection, call: Callable[[LiveCollection], T]) -> T:
        live = self._find(collection)
        return await self._run(live, self._readers, lambda: call(live))

    async def _write(self, live: LiveCollection, collection: Collection, call: Callable[[], T]) -> T:
        """Write; raises CollectionChanged where the write was made for other generations than there are by now."""

        def write() -> T:
            check_generation(live.live.entry, collection)
            return call()

        return await self._change(live, write)

    async def _change(self, live: LiveCollection, call: Callable[[], T]) -> T:
        """Run a call that must not meet another on the same collection."""
        result = await self._run(live, live.writer, call)
        self._indexer.consider(live)
        return result

    async def _run(self, live: LiveCollection, executor: Executor, call: Callable[[], T]) -> T:
        try:
            return await run(executor, call)
        except StoreUnavailable:
            self._find(live.entry)  # deleted meanwhile: that is the reason to tell
            raise

    def _find(self, collection: Collection) -> LiveCollection:
        live = self._live.get((collection.tenant, collection.name))
        for generation in live.generations if live else ():
            if generation.folder.name == collection.physical:
                return generation
        existing = [name for tenant, name in [*self._live] if tenant == collection.tenant]
        raise UnknownCollection(collection.name, existing)

    def _create(self, collection: Collection) -> Collection | None:
        """Create a collection, unless there is one by now; runs on the creator's thread."""
        key = collection.tenant, collection.name
        if key in self._live:
            return None
        entry = placed(collection, set(), new_name)
        live = self._new(entry)
        live.arrange(entry, self._new(entry.at(entry.other), live) if entry.other else None)
        self._live[key] = live
        return live.entry

    def _arrange(
        self, live: LiveCollection, collection: Collection, expected: Collection
    ) -> tuple[Collection, list[LiveCollection]] | None:
        """Change the entry if it is still the expected one, and the generations to those it names.

        Returns it with the generations that it no longer names. Runs on the writer's thread, as `_remove` does.
        """
        key = collection.tenant, collection.name
        if self._live.get(key) is not live or live.entry != expected:
            return None
        known = {one.folder.name: one for one in live.generations}
        entry = placed(collection, known.keys(), new_name)
        serving = known.get(entry.physical) or self._new(entry, live)
        beside = None
        if other := entry.other:
            beside = known.get(other.physical) or self._new(entry.at(other), live)
        serving.arrange(entry, beside)
        self._live[key] = serving
        return serving.entry, [one for one in known.values() if one not in (serving, beside)]

    def _new(self, entry: Collection, beside: LiveCollection | None = None) -> LiveCollection:
        folder, writer = self._folder / entry.physical, beside.writer if beside else None
        return LiveCollection.create(folder, self._catalog, entry, self._dimensions, writer)

    def _remove(self, live: LiveCollection) -> bool:
        """Remove a collection; False where another call did, or other generations took over."""
        key = live.entry.tenant, live.entry.name
        if self._live.get(key) is not live:
            return False
        self._catalog.remove(live.entry)
        del self._live[key]
        for one in live.generations:
            one.discard()
        return True


@asynccontextmanager
async def open_embedded_store(directory: Path, *, dimensions: int, index_at: int) -> AsyncIterator[EmbeddedStore]:
    """Open the data directory, creating it where it does not exist; new collections get vectors of these dimensions.

    More than `index_at` passages that no index covers get one. Raises DataDirectoryError.
    """
    with own_directory(directory) as folder:
        catalog, live = await _opened(folder)
        readers, creator = open_readers(), open_writer()
        try:
            async with open_indexer(readers, index_at) as indexer:
                for one in live.values():
                    for generation in one.generations:
                        indexer.consider(generation)
                yield EmbeddedStore(folder, catalog, live, indexer, readers, creator, dimensions)
        finally:
            await asyncio.to_thread(_close_all, catalog, live, readers, creator)


async def _opened(folder: Path) -> tuple[Catalog, Live]:
    """Open all on a thread; a start that gives up waits for it: the directory is not let go while it is written to."""
    opening = asyncio.create_task(asyncio.to_thread(_open_all, folder))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait({opening})
        if not opening.exception():
            await asyncio.to_thread(_close_all, *opening.result())
        raise


def _open_all(folder: Path) -> tuple[Catalog, Live]:
    try:
        catalog = Catalog(folder.parent / "catalog.sqlite")
        places = catalog.places()
        remove_unknown(folder, {place.collection.physical for pair in places for place in pair if place})
        check_room(folder)
        opened = [_open(folder, catalog, *pair) for pair in places]
    except StoreUnavailable as error:  # the disk is full
        raise DataDirectoryError(str(error)) from None
    except (sqlite3.Error, OSError) as error:
        raise DataDirectoryError(
            f"The data directory {folder.parent.resolve()} cannot be read: {error}. Restore it from a backup, "
            "or set RETRIEVAL_DATA_DIR to an empty directory and import again.",
        ) from error
    return catalog, {(live.entry.tenant, live.entry.name): live for live in opened}


def _open(folder: Path, catalog: Catalog, place: Place, beside: Place | None) -> LiveCollection:
    """Open a collection with the generation beside it; one whose folder an older release removed is forgotten."""
    live = LiveCollection.open(folder / place.collection.physical, catalog, place)
    if beside and (folder / beside.collection.physical).is_dir():
        live.join(LiveCollection.open(folder / beside.collection.physical, catalog, beside, live.writer))
    elif place.collection.other:
        live.arrange(structs.replace(place.collection, other=None), None)
    return live


def _close_all(catalog: Catalog, live: Live, *executors: ThreadPoolExecutor) -> None:
    for executor in executors:
        executor.shutdown()
    for one in live.values():
        for generation in one.generations:
            generation.close()
    catalog.close()
