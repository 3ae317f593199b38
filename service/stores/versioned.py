"""A store that many processes share, with versions that Redis keeps for all of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import structs

from service.caches.base import ledger_name
from service.caches.ledgers import RedisVersions, Write
from service.errors import RedisUnavailable, StoreUnavailable
from service.models import Collection, CollectionSize, Match, Passage, Record, Scalar
from service.stores.base import Deletion, EmbeddedDocument, Store, ValueCount, Vector
from service.stores.catalog import check_generation, unknown_collection
from service.stores.filters import Filter

UNKNOWN = "unknown"
"""The version where Redis has never told it."""
LISTED_AT_ONCE = 16
SOON_SECONDS = 0.5
"""That a search waits for an entry of which it knows an older version."""
PAUSE_SECONDS = 1.0
"""Until such an entry is tried again."""


class Entry(Collection, frozen=True, kw_only=True, eq=False):
    """An entry as callers see it. It equals every entry that says the same."""

    inner: str
    """The version that the store itself gave it, by which the store knows whether it was changed since."""

    def __eq__(self, other: object) -> bool:
        """Compare what an entry says."""
        return isinstance(other, Collection) and _words(self) == _words(other)

    __hash__ = None  # type: ignore[assignment]  # as of any entry: it holds a dict


class VersionedStore:
    """A Store around another. A write is announced before it reaches the store, and raises the version after it.

    Beyond the port, writes raise RedisUnavailable where Redis does not answer.
    """

    def __init__(self, store: Store, versions: RedisVersions) -> None:
        self._store = store
        self._versions = versions
        self._entries: dict[str, Entry] = {}
        """As last read, by ledger: current as long as the version is, which every change of an entry raises."""
        self._again_at: dict[str, float] = {}
        """When an entry that could not be read is tried again, by ledger, on the monotonic clock."""

    async def collections(self, tenant: str) -> list[Collection]:
        gate = asyncio.Semaphore(LISTED_AT_ONCE)

        async def find(name: str) -> Entry | None:
            async with gate:
                return await self._find(tenant, name, follows=False)

        names = [entry.name for entry in await self._store.collections(tenant)]
        return [entry for entry in await asyncio.gather(*map(find, names)) if entry]

    async def collection(self, tenant: str, name: str) -> Collection | None:
        return await self._find(tenant, name, follows=True)

    async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
        seen = await self._seen(expected) if expected else None
        if expected and not seen:
            return None
        ledger = _ledger(collection)
        async with self._versions.alone(ledger), self._versions.write(ledger) as write:
            known = _plain(seen, seen.inner) if seen else None
            stored = await self._store.put_collection(_plain(collection, collection.version), known)
            write.is_void = stored is None
        if stored is None:
            return None
        self._entries[ledger] = entry = _entry(stored, write.version)
        return entry

    async def delete_collection(self, tenant: str, name: str) -> None:
        ledger = ledger_name(tenant, name)
        async with self._versions.alone(ledger), self._versions.write(ledger):
            self._entries.pop(ledger, None)
            await self._store.delete_collection(tenant, name)

    async def size(self, collection: Collection) -> CollectionSize:
        return await self._store.size(collection)

    async def nearest(
        self, collection: Collection, vector: Vector, limit: int, where: Filter | None, *, exact: bool = False
    ) -> list[Match]:
        return await self._store.nearest(collection, vector, limit, where, exact=exact)

    async def matching(self, collection: Collection, text: str, limit: int, where: Filter | None) -> list[Match]:
        return await self._store.matching(collection, text, limit, where)

    async def passages(self, collection: Collection, ids: Sequence[str], where: Filter | None = None) -> list[Passage]:
        return await self._store.passages(collection, ids, where)

    async def count(self, collection: Collection, where: Filter | None) -> int:
        return await self._store.count(collection, where)

    async def values(self, collection: Collection, field: str, limit: int) -> list[ValueCount]:
        return await self._store.values(collection, field, limit)

    async def bounds(self, collection: Collection, field: str) -> tuple[Scalar, Scalar] | None:
        return await self._store.bounds(collection, field)

    async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        async with self._announced(collection) as write:
            await self._store.write(collection, documents)
        return write.version

    async def delete(self, collection: Collection, ids: Sequence[str]) -> Deletion:
        async with self._announced(collection) as write:
            deletion = await self._store.delete(collection, ids)
        return structs.replace(deletion, version=write.version)

    async def delete_matching(self, collection: Collection, where: Filter) -> Deletion:
        async with self._announced(collection) as write:
            deletion = await self._store.delete_matching(collection, where)
        return structs.replace(deletion, version=write.version)

    async def records(self, collection: Collection, ids: Sequence[str]) -> list[Record]:
        return await self._store.records(collection, ids)

    async def content_hashes(self, collection: Collection, ids: Sequence[str]) -> dict[str, str]:
        hashes = await self._store.content_hashes(collection, ids)
        if hashes:  # a caller may be told that all is stored, by a writer who died before its commit perhaps
            await self._versions.settle(_ledger(collection))
        return hashes

    async def list_records(self, collection: Collection, after: str, limit: int) -> list[Record]:
        return await self._store.list_records(collection, after, limit)

    async def _seen(self, expected: Collection) -> Entry | None:
        """Return what the caller took this from, with the store's own version; None where it is another by now."""
        if isinstance(expected, Entry):
            return expected
        found = await self._find(expected.tenant, expected.name, follows=False)
        return found if found == expected else None

    @asynccontextmanager
    async def _announced(self, collection: Collection) -> AsyncIterator[Write]:
        """Announce a write, and let it be done only if the entry it was made for still names the generations.

        Whoever changes the generations and waits for the writes announced before knows that all later ones heed them.
        Raises CollectionChanged, and UnknownCollection where none is named.
        """
        async with self._versions.write(_ledger(collection)) as write:
            stored = await self._store.collection(collection.tenant, collection.name)
            if stored is None or collection.physical not in stored.places:  # what a deletion left there is lost
                raise await unknown_collection(self._store, collection.tenant, collection.name)
            check_generation(stored, collection)
            yield write
            write.is_void = collection.is_beside  # nobody searches it: what is cached stays right

    async def _find(self, tenant: str, name: str, *, follows: bool) -> Entry | None:
        """Return the entry with a version that was read before it: nothing computed from the entry is older.

        No ledger comes into being for a name that is not a collection's.
        """
        ledger = ledger_name(tenant, name)
        known = self._entries.get(ledger)
        version = self._versions.current(ledger)
        is_confirmed = True
        if version is None:
            if known is None and await self._store.collection(tenant, name) is None:
                return None
            version, is_confirmed = await self._ask(ledger)
        if known is None or known.version != version or not is_confirmed:
            known = await self._renewed(tenant, name, ledger, version)
        if known and follows:
            self._versions.follow(ledger)
        return known

    async def _renewed(self, tenant: str, name: str, ledger: str, version: str) -> Entry | None:
        """Read the entry; where the store does not tell it soon, the one that is known goes on.

        A copy that is frozen holds up what a quorum must agree on, but no search. A write reads the entry once more.
        """
        known = self._entries.get(ledger)
        if known is None:
            return await self._read(tenant, name, ledger, version)
        if time.monotonic() < self._again_at.get(ledger, 0.0):
            return structs.replace(known, version=version)
        try:
            async with asyncio.timeout(SOON_SECONDS):
                return await self._read(tenant, name, ledger, version)
        except (StoreUnavailable, TimeoutError):
            self._again_at[ledger] = time.monotonic() + PAUSE_SECONDS
            return structs.replace(known, version=version)

    async def _read(self, tenant: str, name: str, ledger: str, version: str) -> Entry | None:
        stored = await self._store.collection(tenant, name)
        self._again_at.pop(ledger, None)
        if stored is None:
            self._entries.pop(ledger, None)
            return None
        self._entries[ledger] = entry = _entry(stored, version)
        return entry

    async def _ask(self, ledger: str) -> tuple[str, bool]:
        """Return the version, and whether Redis said so just now."""
        try:
            return await self._versions.read(ledger), True
        except RedisUnavailable:
            return self._versions.last(ledger) or UNKNOWN, False


def _ledger(collection: Collection) -> str:
    return ledger_name(collection.tenant, collection.name)


def _entry(stored: Collection, version: str) -> Entry:
    return Entry(**{**_words(stored), "version": version}, inner=stored.version)


def _plain(entry: Collection, version: str) -> Collection:
    return Collection(**{**_words(entry), "version": version})


def _words(entry: Collection) -> dict[str, Any]:
    return {field: getattr(entry, field) for field in Collection.__struct_fields__}
