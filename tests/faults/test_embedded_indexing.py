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
WRITES_AFTER = 10


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
    """Reads and writes that go on, each checked, until a while after an index has taken over."""

    def __init__(self, store: EmbeddedStore, collection: Collection, stored: int) -> None:
        self.reads = 0
        self.written = list(range(stored))
        self.reads_during_build = 0
        self.writes_during_build = 0
        self._writes_after = 0
        self._store = store
        self._collection = collection
        self._stored = stored

    async def read(self) -> None:
        while self._writes_after < WRITES_AFTER:
            document = long_document(self.reads * 7919 % self._stored)
            position = self.reads % OF_DOCUMENT
            passage, vector = document.passages[position], document.vectors[position]
            nearest = await self._store.nearest(self._collection, vector, 10, None)
            assert nearest[0].id == passage.id
            word = passage.text.split()[0]
            (match,) = await self._store.matching(self._collection, word, 10, None)
            assert match.id == passage.id
            assert await self._store.passages(self._collection, [passage.id]) == [passage]
            self.reads += 1
            await asyncio.sleep(0.01)

    async def write(self) -> None:
        while self._writes_after < WRITES_AFTER:
            document = long_document(len(self.written))
            await self._store.write(self._collection, [document])
            self.written.append(len(self.written))
            nearest = await self._store.nearest(self._collection, document.vectors[0], 1, None)
            assert nearest[0].id == document.passages[0].id
            if self._store._live["acme", "docs"].uncovered < PASSAGES // 2:
                self._writes_after += 1
            else:
                self.writes_during_build += 1
                self.reads_during_build = self.reads
            await asyncio.sleep(0.05)


async def test_reads_and_writes_go_on_while_an_index_is_built_and_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = range(PASSAGES // OF_DOCUMENT)
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=10 * PASSAGES) as store:
        collection = await open_collection(store)
        for start in range(0, len(stored), 20):
            await store.write(collection, [long_document(number) for number in stored[start : start + 20]])
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=PASSAGES // 2) as store:
        collection = await open_collection(store)
        traffic = Traffic(store, collection, len(stored))
        async with stall_probe() as stalls, asyncio.TaskGroup() as tasks:
            tasks.create_task(traffic.read())
            tasks.create_task(traffic.write())
        assert traffic.reads_during_build > 100
        assert traffic.writes_during_build > 20
        size = await store.size(collection)
        assert size.passages == len(traffic.written) * OF_DOCUMENT
        await assert_searchable(store, collection, traffic.written[len(stored) :])
    assert_no_rubbish(tmp_path)
    with capsys.disabled():
        during = f"{traffic.reads_during_build} reads and {traffic.writes_during_build} writes during the build"
        sys.stderr.write(f"\nindex of {PASSAGES} passages: {during}, longest stall {max(stalls) * 1000:.0f} ms\n")


async def test_the_room_of_deleted_passages_is_given_back(tmp_path: Path) -> None:
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=PASSAGES) as store:
        collection = await open_collection(store)
        for start in range(0, 500, 20):
            await store.write(collection, [long_document(number) for number in range(start, start + 20)])
        first = store._live["acme", "docs"].place.shard
        await store.delete(collection, [f"long{number}" for number in range(490)])
        number = 1000
        while store._live["acme", "docs"].place.shard == first:
            await store.write(collection, [long_document(number)])
            number += 1
            assert number < 5000, "the index was not replaced"
        kept = [*range(490, 500), *range(1000, number)]
        assert store._live["acme", "docs"]._shard.dead == 0
        assert (await store.size(collection)).documents == len(kept)
        await assert_searchable(store, collection, kept)
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=PASSAGES) as store:
        await assert_searchable(store, collection, kept)
    assert_no_rubbish(tmp_path)


async def test_a_collection_is_deleted_while_its_index_is_built(tmp_path: Path) -> None:
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=500) as store:
        collection = await open_collection(store)
        await store.write(collection, [long_document(number) for number in range(100)])
        assert store._indexer._wanting.qsize() == 1
        await asyncio.sleep(0.2)
        await store.delete_collection("acme", "docs")
        assert [*(tmp_path / "collections").iterdir()] == []
        assert await store.collections("acme") == []


async def assert_searchable(store: Store, collection: Collection, numbers: Sequence[int]) -> None:
    """What was written while the index was built, and just after, is found."""
    for number in numbers:
        document = long_document(number)
        nearest = await store.nearest(collection, document.vectors[-1], 1, None)
        assert nearest[0].id == document.passages[-1].id
