"""While an index of 100,000 passages is built and taken over, reads and writes go on and are right throughout."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.models import Collection, Passage, Record, passage_id
from service.stores.base import EmbeddedDocument, Store
from service.stores.embedded import EmbeddedStore, open_embedded_store
from tests.faults.checking import assert_no_rubbish
from tests.faults.writing import open_collection, unique_word

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PASSAGES = 100_000
OF_DOCUMENT = 50
DIMENSIONS = 8


def long_document(number: int) -> EmbeddedDocument:
    """A document of many passages; its vectors are random and of length 1."""
    identifier = f"long{number}"
    drawn = np.random.default_rng(number).standard_normal((OF_DOCUMENT, DIMENSIONS))
    vectors: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    passages = [
        Passage(
            id=passage_id(identifier, position),
            document_id=identifier,
            position=position,
            title=f"Long {number}",
            text=f"{unique_word(identifier, 0, position)} stands in one passage",
            metadata={"revision": number},
        )
        for position in range(OF_DOCUMENT)
    ]
    record = Record(id=identifier, title=f"Long {number}", text="long", metadata={"revision": number})
    return EmbeddedDocument(record, passages, vectors)


@asynccontextmanager
async def stall_probe() -> AsyncIterator[list[float]]:
    """Measure how long the event loop did not get to a task that wants to run every millisecond."""
    stalls: list[float] = []

    async def probe() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls.append(time.perf_counter() - before - 0.001)

    task = asyncio.create_task(probe())
    yield stalls
    task.cancel()


class Traffic:
    """Reads and writes that go on until told to stop, each checked."""

    def __init__(self, store: Store, collection: Collection, stored: Sequence[int]) -> None:
        self.reads = self.writes = 0
        self.written = list(stored)
        self.is_over = False
        self._store = store
        self._collection = collection
        self._initially = len(stored)

    async def read(self) -> None:
        while not self.is_over:
            document = long_document(self.reads * 7919 % self._initially)
            position = self.reads % OF_DOCUMENT
            passage, vector = document.passages[position], document.vectors[position]
            nearest = await self._store.nearest(self._collection, vector, 10, None)
            assert nearest[0].passage == passage
            word = passage.text.split()[0]
            assert [match.passage for match in await self._store.matching(self._collection, word, 10, None)] == [
                passage
            ]
            self.reads += 1

    async def write(self) -> None:
        while not self.is_over:
            document = long_document(len(self.written))
            await self._store.write(self._collection, [document])
            self.written.append(len(self.written))
            nearest = await self._store.nearest(self._collection, document.vectors[0], 1, None)
            assert nearest[0].passage == document.passages[0]
            self.writes += 1
            await asyncio.sleep(0.05)


async def test_reads_and_writes_go_on_while_an_index_is_built_and_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = range(PASSAGES // OF_DOCUMENT)
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=10 * PASSAGES) as store:
        collection = await open_collection(store)
        for start in range(0, len(stored), 100):
            await store.write(collection, [long_document(number) for number in stored[start : start + 100]])
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=PASSAGES // 2) as store:
        before = await open_collection(store)
        traffic = Traffic(store, before, stored)
        async with stall_probe() as stalls, asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic.read())
            tasks.create_task(traffic.write())
            await until_indexed(store)
            reads, writes = traffic.reads, traffic.writes
            while traffic.reads < reads + 100 or traffic.writes < writes + 5:
                await asyncio.sleep(0.01)
            traffic.is_over = True
        assert reads > 100
        assert writes > 10
        size = await store.size(before)
        assert size.passages == len(traffic.written) * OF_DOCUMENT
        await assert_searchable_everywhere(store, before, traffic.written[-writes - 5 :])
    assert_no_rubbish(tmp_path)
    with capsys.disabled():
        figures = f"{reads} reads and {writes} writes during the build, longest stall {max(stalls) * 1000:.0f} ms"
        sys.stderr.write(f"\nindex of {PASSAGES} passages: {figures}\n")


async def until_indexed(store: EmbeddedStore) -> None:
    """Wait until an index that covers all but the latest passages is searched."""
    live = store._live["acme", "docs"]
    while live.uncovered > PASSAGES // 2:
        await asyncio.sleep(0.02)


async def assert_searchable_everywhere(store: Store, collection: Collection, numbers: Sequence[int]) -> None:
    """What was written while the index was built, and just before and after, is found."""
    for number in numbers:
        document = long_document(number)
        nearest = await store.nearest(collection, document.vectors[-1], 1, None)
        assert nearest[0].passage == document.passages[-1]
