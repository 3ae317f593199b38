"""Making the next generation hold what the live one does, while both are written to."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from service.errors import CollectionChanged
from service.ingest.hashing import digest_of
from service.ingest.target import RECORDS_AT_ONCE
from service.ingest.writing import Writer
from service.models import Collection, Record
from service.stores.base import Store

MOST_SAMPLED: Final = 50
LONGEST_TITLE: Final = 200
"""Characters of a text that stand for its title."""
PAUSE_SECONDS: Final = 0.05
"""In which another process ends a write that is in one generation and not yet in the other."""


class Progress(Struct):
    """How far the building of a generation has come."""

    documents: int = 0
    """That there were when it began."""
    done: int = 0
    """Compared in the present pass."""
    passes: int = 0
    """That have ended; the first one writes everything, the others what changed meanwhile."""
    problem: str = ""
    """Why it does not go on."""


class Backfill:
    """Fills the generation beside the live one. `entry` names both."""

    def __init__(self, store: Store, writer: Writer, entry: Collection, progress: Progress) -> None:
        assert entry.other
        self._store = store
        self._writer = writer
        self._live = entry
        self._beside = entry.at(entry.other)
        self._progress = progress
        self.titles: list[str] = []
        """Of some documents, spread over all: what to ask both generations where nobody asked anything."""

    async def run(self) -> None:
        """Return when a whole pass found no difference, in neither direction.

        Writes go to both generations meanwhile: what the first pass overwrites with an older copy, or brings back
        after it was deleted, the next one finds. Raises CollectionChanged where the generation is given up, and what
        the store and the model raise.
        """
        self._progress.documents = (await self._store.size(self._live)).documents
        self._progress.passes = 0
        await self._fill()
        self._progress.passes += 1
        while await self._mend():
            self._progress.passes += 1
        self._progress.passes += 1

    async def _fill(self) -> None:
        """Write what the next generation lacks, without holding up anybody."""
        async for records in self._pages(self._live):
            self._sample(records)
            await self._write(await self._lacking(records))

    async def _mend(self) -> int:
        """Compare all documents; returns how many had to be written or deleted."""
        mended = 0
        async for records in self._pages(self._live):
            mended += await self._mend_these([record.id for record in await self._lacking(records)])
        async for records in self._pages(self._beside):
            hashes = await self._store.content_hashes(self._live, [record.id for record in records])
            mended += await self._mend_these([one.id for one in records if one.id not in hashes])
        return mended

    async def _mend_these(self, ids: Sequence[str]) -> int:
        """Look at documents again while this process writes nothing else, and make them equal."""
        if not ids:
            return 0
        await asyncio.sleep(PAUSE_SECONDS)
        async with self._writer.alone(self._live.tenant, self._live.name):
            records = await self._store.records(self._live, ids)
            beside = await self._store.content_hashes(self._beside, ids)
            lacking = _lacking(records, beside)
            extra = sorted(beside.keys() - {record.id for record in records})
            await self._write(lacking)
            if extra:
                await self._store.delete(self._beside, extra)
        return len(lacking) + len(extra)

    async def _write(self, records: Sequence[Record]) -> None:
        """Write to the next generation with the fields as they are by now: imports add some while it is built."""
        if not records:
            return
        made = await self._writer.made(self._beside, records)
        current = await self._store.collection(self._live.tenant, self._live.name)
        if current is None or current.other is None or current.places != self._live.places:
            raise CollectionChanged(f"The next generation of collection {self._live.name!r} was given up.")
        await self._store.write(current.at(current.other), made)

    async def _pages(self, generation: Collection) -> AsyncGenerator[list[Record]]:
        after = ""
        self._progress.done = 0
        while records := await self._store.list_records(generation, after, RECORDS_AT_ONCE):
            yield records
            self._progress.done += len(records)
            after = records[-1].id

    async def _lacking(self, records: Sequence[Record]) -> list[Record]:
        """Return those of the live generation's records that the next one does not hold as they are."""
        return _lacking(records, await self._store.content_hashes(self._beside, [record.id for record in records]))

    def _sample(self, records: Sequence[Record]) -> None:
        """Keep the titles of some documents of a page, so many that all pages together give what is wanted."""
        wanted = max(1, RECORDS_AT_ONCE * MOST_SAMPLED // max(1, self._progress.documents))
        every = max(1, self._progress.documents // (RECORDS_AT_ONCE * MOST_SAMPLED))
        if self._progress.done // RECORDS_AT_ONCE % every == 0:
            titles = [record.title or record.text[:LONGEST_TITLE] for record in records[:wanted]]
            self.titles = [*self.titles, *filter(str.strip, titles)][:MOST_SAMPLED]


def _lacking(records: Sequence[Record], hashes: Mapping[str, str]) -> list[Record]:
    """Return the records whose content is not that of these content hashes, which another generation has."""
    return [one for one in records if digest_of(hashes.get(one.id)) != digest_of(one.content_hash)]
