"""Reindexes over a store in memory, with models that cost nothing and turns taken wherever a real store would wait."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from service.embedders.base import Embedder, ModelCard, Purpose, Vectors
from service.embedders.builtin import read_builtin
from service.errors import ModelUnavailable
from service.ingest.comparing import Comparer
from service.ingest.importer import Importer
from service.ingest.models import ImportReport
from service.ingest.reindexing import Reindexer, ReindexRequest
from service.ingest.shapes import Shapes
from service.ingest.writing import Writer, generations
from service.models import Collection, Filters, Kind
from service.search.faq import FaqDefaults, FaqSearch
from service.search.hottest import Hot
from service.search.pipeline import SearchPipeline
from service.stores.base import Store
from service.stores.filters import parse_filter
from service.stores.memory import MemoryStore
from service.telemetry import Telemetry
from tests.unit.ingest.fakes import NOON, TENANT, lines

DIMENSIONS = 16


class WordsModel:
    """An embedder whose vectors follow from the words of a text, other ones for each name; `noise` drowns them."""

    def __init__(self, name: str, tokenizer: Tokenizer, *, noise: bool = False) -> None:
        self.card = ModelCard(name=name, revision="1", dimensions=DIMENSIONS, window=64)
        self.tokenizer = tokenizer
        self._seed = "" if not noise else name
        self._noise = noise

    async def embed(self, texts: Sequence[str], purpose: Purpose, tenant: str | None = None) -> Vectors:  # noqa: ARG002  # nothing is kept
        await asyncio.sleep(0)
        rows = [sum((self._vector(word) for word in self._words(text)), np.zeros(DIMENSIONS)) for text in texts]
        return np.array([row / max(float(np.linalg.norm(row)), 1e-9) for row in rows], np.float32)

    def is_truncated(self, *_: object) -> bool:
        return False

    def _words(self, text: str) -> list[str]:
        return [text] if self._noise else text.lower().split()

    def _vector(self, word: str) -> Any:
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}{word}".encode()).digest()[:8])
        return np.random.default_rng(seed).standard_normal(DIMENSIONS)


class Models:
    """Embedders by name; those in `gone` cannot be loaded."""

    def __init__(self) -> None:
        tokenizer = read_builtin().tokenizer
        self._models: dict[str, Embedder] = {
            "": WordsModel("first", tokenizer),
            "second": WordsModel("second", tokenizer),
            "noise": WordsModel("noise", tokenizer, noise=True),
        }
        self.gone: set[str] = set()

    async def of(self, model: str) -> Embedder:
        if model in self.gone:
            raise ModelUnavailable(f"There is no embedding model {model!r} here.")
        return self._models[model]

    async def names(self) -> list[str]:
        return ["second", "noise"]


class TakingTurns(MemoryStore):
    """A store whose writes take effect some turns after they were asked for."""

    async def _turns(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def write(self, collection: Collection, *arguments: Any) -> str:
        await self._turns()
        return await super().write(collection, *arguments)

    async def delete(self, collection: Collection, *arguments: Any) -> Any:
        await self._turns()
        return await super().delete(collection, *arguments)

    async def content_hashes(self, collection: Collection, *arguments: Any) -> dict[str, str]:
        found = await super().content_hashes(collection, *arguments)
        await self._turns()
        return found

    async def list_records(self, *arguments: Any) -> Any:
        found = await super().list_records(*arguments)
        await self._turns()
        return found


class Process:
    """What one process has: flows of its own, over a store that it may share."""

    def __init__(self, store: Store, models: Models | None = None) -> None:
        self.store = store
        self.models = models or Models()
        self.hot: list[Hot] = []
        shapes = Shapes(self.models)
        self.shapes = shapes
        self.writer = Writer(store, shapes)
        self.importer = Importer(store, shapes, self.writer, clock=lambda: NOON)
        pipeline = SearchPipeline(store, self.models)
        faq = FaqSearch(store, self.models, FaqDefaults(10, 0.85))
        comparer = Comparer({"documents": pipeline, "faq": faq}, self._hottest, Telemetry())
        self.reindexer = Reindexer(store, self.writer, shapes, comparer, self.models.names, self._outlast)

    async def imported(
        self, *documents: dict[str, Any], kind: Kind = "documents", name: str = "things"
    ) -> ImportReport:
        found = [report async for report in self.importer.run(TENANT, name, kind, lines(*documents))]
        return found[-1]

    async def entry(self) -> Collection:
        found = await self.store.collection(TENANT, "things")
        assert found
        return found

    async def delete(self, *ids: str) -> int:
        return (await self.writer.delete(await self.entry(), ids)).deleted

    async def delete_matching(self, filters: Filters) -> int:
        entry = await self.entry()
        where = parse_filter(filters, entry.fields)
        assert where
        return (await self.writer.delete_matching(entry, where)).deleted

    async def reindex(self, *states: str, **request: Any) -> Collection:
        """Begin a reindex and return the entry when it is in one of these states, `kept` by default."""
        await self.reindexer.start(TENANT, "things", ReindexRequest(**request))
        return await self.reached(*states or ("kept",))

    async def reached(self, *states: str) -> Collection:
        return await self.until(lambda entry: entry.other is not None and entry.other.state in states)

    async def until(self, holds: Callable[[Collection], bool], name: str = "things") -> Collection:
        """Return the entry when something holds of it."""
        while True:
            entry = await self.store.collection(TENANT, name)
            if entry and holds(entry):
                return entry
            await asyncio.sleep(0.001)

    async def _hottest(self, _: str) -> list[Hot]:
        return self.hot

    async def _outlast(self, _: Collection) -> None:
        """The store in memory refuses late writes by itself."""


async def contents(store: Store) -> list[dict[str, str]]:
    """Return for each generation of the collection, the live one last, its documents' texts by id."""
    entry = await store.collection(TENANT, "things")
    assert entry
    return [
        {record.id: record.text async for record in records_of(store, generation)} for generation in generations(entry)
    ]


async def records_of(store: Store, generation: Collection) -> AsyncIterator[Any]:
    for record in await store.list_records(generation, "", 10_000):
        yield record
