"""The embedded store alone: a query over 10,000 passages and over 100,000, and what building the index costs."""

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.bench.figures import Figure, median, percentile
from service.models import Collection, Passage, Record, passage_id
from service.stores.base import EmbeddedDocument, Store
from service.stores.embedded import open_embedded_store
from service.stores.embedded.store import EmbeddedStore

DIMENSIONS = 384
CENTRES = 200
BATCH = 250
INDEX_AT = 50_000
QUERIES = 300
WORDS = 60


class Corpus:
    """Documents of one passage whose vectors lie in clusters, as those of real texts do."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._centres = self._random.standard_normal((CENTRES, DIMENSIONS))

    def vectors(self, count: int) -> NDArray[np.float32]:
        """Draw unit vectors, shape (count, DIMENSIONS)."""
        near = self._centres[self._random.integers(0, CENTRES, count)]
        drawn = near + 0.8 * self._random.standard_normal((count, DIMENSIONS))
        rows: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        return rows

    def documents(self, first: int, count: int) -> list[EmbeddedDocument]:
        """Make the documents numbered from `first`."""
        rows = self.vectors(count)
        return [self._document(first + offset, rows[offset : offset + 1]) for offset in range(count)]

    def _document(self, number: int, vectors: NDArray[np.float32]) -> EmbeddedDocument:
        name = f"d{number}"
        text = " ".join(f"w{word}" for word in self._random.zipf(1.3, WORDS) % 20_000)
        record = Record(id=name, title=name, text=text, metadata={"group": f"g{number % 10}"}, content_hash=name)
        passage = Passage(
            id=passage_id(name, 0),
            document_id=name,
            position=0,
            title=name,
            text=text,
            metadata=record.metadata,
        )
        return EmbeddedDocument(record, [passage], vectors)


async def measure() -> list[Figure]:
    """Compare p50 and p99 of a vector query at both sizes."""
    corpus = Corpus()
    with tempfile.TemporaryDirectory() as temporary:
        async with open_embedded_store(Path(temporary), dimensions=DIMENSIONS, index_at=INDEX_AT) as store:
            small = await _filled(store, corpus, "small", 10_000)
            start = time.perf_counter()
            large = await _filled(store, corpus, "large", 100_000)
            filled = time.perf_counter() - start
            stall, switched = await _wait_for_index(store, large)
            few, many = await _latencies(store, small, corpus), await _latencies(store, large, corpus)
    return [
        Figure("store p50 over 10,000 passages", median(few) * 1000, "ms"),
        Figure("store p50 over 100,000 passages", median(many) * 1000, "ms"),
        Figure("ratio", median(many) / median(few), "x", goal=3),
        Figure("store p99 over 100,000 passages", percentile(many, 0.99) * 1000, "ms"),
        Figure("documents written", 100_000 / filled, "1/s"),
        Figure("from the last write to the index in use", switched, "s"),
        Figure("longest stall of the event loop meanwhile", stall * 1000, "ms", goal=100),
    ]


async def _filled(store: Store, corpus: Corpus, name: str, count: int) -> Collection:
    wanted = Collection(tenant="default", name=name, kind="documents", fields={"group": "keyword"})
    collection = await store.put_collection(wanted, None)
    if collection is None:
        raise RuntimeError("the collection exists")
    for first in range(0, count, BATCH):
        await store.write(collection, corpus.documents(first, BATCH))
    return collection


async def _wait_for_index(store: EmbeddedStore, collection: Collection) -> tuple[float, float]:
    """Wait until the index is in use; returns the longest stall of the event loop and the seconds it took."""
    live = store._live[collection.tenant, collection.name]  # noqa: SLF001  # the port does not tell of indexes
    start = last = time.perf_counter()
    longest = 0.0
    while True:
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.005), now
        if not live.is_indexing and not live.is_index_wanted(INDEX_AT):
            return longest, now - start


async def _latencies(store: Store, collection: Collection, corpus: Corpus) -> list[float]:
    seconds = []
    for vector in corpus.vectors(QUERIES):
        start = time.perf_counter()
        await store.nearest(collection, vector, 50, None)
        seconds.append(time.perf_counter() - start)
    return seconds
