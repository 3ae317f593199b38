"""Replacing the index of a growing collection, while it is searched and written."""

import asyncio
import logging
import math
import os
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from service.errors import StoreUnavailable
from service.stores.embedded.build import BuildOrder
from service.stores.embedded.collection import LiveCollection
from service.stores.embedded.directory import new_name, remove_folder
from service.stores.embedded.shard import Shard, warm
from service.stores.embedded.threads import run

LOGGER: Final = logging.getLogger(__name__)
PAUSE_SECONDS: Final = 60.0
"""After a failure, until the same collection is tried again."""


class Indexer:
    """Builds one index at a time, for whichever collection wants one."""

    def __init__(self, readers: Executor, index_at: int) -> None:
        self._readers = readers
        self._index_at = index_at
        self._wanting: asyncio.Queue[LiveCollection] = asyncio.Queue()
        self._queued: set[LiveCollection] = set()
        self._pauses: dict[str, float] = {}
        self._building: LiveCollection | None = None
        self._is_abandoned = False
        self._done = asyncio.Event()
        self._task = asyncio.create_task(self._work())
        self._child: asyncio.subprocess.Process | None = None

    def consider(self, live: LiveCollection) -> None:
        """Look at a collection that has changed; returns at once."""
        is_pausing = self._pauses.get(live.folder.name, 0.0) > time.monotonic()
        is_known = live in self._queued or live is self._building
        if not is_pausing and not is_known and live.is_index_wanted(self._index_at):
            self._pauses.pop(live.folder.name, None)
            self._queued.add(live)
            self._wanting.put_nowait(live)

    async def forget(self, live: LiveCollection) -> None:
        """Build nothing more for a collection that is about to be removed."""
        self._pauses[live.folder.name] = math.inf
        if self._building is live:
            await self._abandon()

    async def stop(self) -> None:
        """Give up what is being built, and build nothing more."""
        self._task.cancel()
        if self._building:
            await self._abandon()
        await asyncio.wait([self._task])

    async def _work(self) -> None:
        while True:
            live = await self._wanting.get()
            self._queued.discard(live)
            if live.folder.name not in self._pauses:
                # Shielded: an index is taken over or given up, never left between.
                await asyncio.shield(self._replace_index(live))
                self.consider(live)  # it grew meanwhile, and may be written no more

    async def _abandon(self) -> None:
        self._is_abandoned = True
        await self._kill_child()
        await self._done.wait()

    async def _replace_index(self, live: LiveCollection) -> None:
        started = time.perf_counter()
        folder = live.folder / new_name()
        self._building, self._is_abandoned, live.is_indexing = live, False, True
        self._done.clear()
        try:
            await self._take_over(live, folder)
            LOGGER.info("collection %s has a new index after %.1f s", live.entry.name, time.perf_counter() - started)
        except Exception:
            self._pauses.setdefault(live.folder.name, time.monotonic() + PAUSE_SECONDS)
            LOGGER.warning("collection %s gets no index for now", live.entry.name, exc_info=not self._is_abandoned)
        finally:
            self._building, live.is_indexing = None, False
            if live.place.shard != folder.name:
                remove_folder(folder)
            self._done.set()

    async def _take_over(self, live: LiveCollection, folder: Path) -> None:
        if live.documents.state.passages > self._index_at:
            await self._build_in_child(live, folder)
            await run(self._readers, warm, folder)
            shard = await run(live.writer, Shard.load, folder)
            await run(self._readers, warm, folder)
        else:
            shard = await run(live.writer, Shard.create, folder, live.place.dimensions, live.fields)
        try:
            while (old := await run(live.writer, live.adopt, shard)) is None:
                self._check_abandoned()
        except BaseException:
            live.writer.submit(shard.close)
            raise
        await run(live.writer, old.settle)
        while await run(live.writer, old.drop_field):
            pass
        await run(live.writer, old.close)
        await run(self._readers, remove_folder, old.folder)

    def _check_abandoned(self) -> None:
        if self._is_abandoned:
            raise StoreUnavailable("The collection is being removed.")

    async def _build_in_child(self, live: LiveCollection, folder: Path) -> None:
        order = BuildOrder(os.getpid(), str(live.folder.resolve()), folder.name, live.place.dimensions, live.fields)
        command = (sys.executable, "-m", "service.stores.embedded.build", msgspec.json.encode(order).decode())
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stderr=pipe)
        if self._is_abandoned:
            await self._kill_child()
        _, complaint = await self._child.communicate()
        if code := self._child.returncode:
            lines = complaint.decode("utf-8", "replace").splitlines()
            raise StoreUnavailable(f"The process that builds an index ended with {code}: {' '.join(lines[-3:])}")

    async def _kill_child(self) -> None:
        if self._child and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()


@asynccontextmanager
async def open_indexer(readers: Executor, index_at: int) -> AsyncIterator[Indexer]:
    """Run an indexer until the block ends; then what it was building is given up."""
    indexer = Indexer(readers, index_at)
    try:
        yield indexer
    finally:
        await indexer.stop()
