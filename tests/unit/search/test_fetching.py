"""A search fetches the passages that it returns, and no others; what is gone by then is left out."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.embedders.pool import OneModel
from service.models import Collection, Match, Passage, Record, SearchRequest, SearchResponse, passage_id
from service.search.faq import FaqDefaults, FaqRequest, FaqResponse, FaqSearch
from service.search.pipeline import SearchPipeline
from service.stages import Stages
from service.stores.base import EmbeddedDocument, Vector
from service.stores.filters import Filter
from service.stores.memory import MemoryStore
from service.telemetry import Telemetry
from tests.unit.search.fakes import CARD, Fixed

pytestmark = pytest.mark.anyio


class WatchedStore(MemoryStore):
    """Keeps what is fetched, and lets `between` be done after the vector leg has answered."""

    def __init__(self, *between: EmbeddedDocument, deleted: Sequence[str] = ()) -> None:
        super().__init__()
        self.fetched: list[list[str]] = []
        self._between = between
        self._deleted = deleted

    async def nearest(
        self, collection: Collection, vector: Vector, limit: int, where: Filter | None, *, exact: bool = False
    ) -> list[Match]:
        found = await super().nearest(collection, vector, limit, where, exact=exact)
        await self.write(collection, self._between)
        await self.delete(collection, self._deleted)
        return found

    async def passages(self, collection: Collection, ids: Sequence[str], where: Filter | None = None) -> list[Passage]:
        self.fetched.append([*ids])
        return await super().passages(collection, ids, where)


def entry(name: str, *variants: float, group: str = "open") -> EmbeddedDocument:
    """An entry whose variants have these cosine similarities to every query."""
    passages = [
        Passage(
            id=passage_id(name, position),
            document_id=name,
            position=position,
            title=name,
            text=f"{name} {position}",
            metadata={"group": group},
            answer="yes",
        )
        for position in range(len(variants))
    ]
    vectors = np.array([[score, (1 - score**2) ** 0.5] for score in variants], np.float32)
    return EmbeddedDocument(Record(id=name, title=name, text=name, metadata={"group": group}), passages, vectors)


async def filled(store: MemoryStore, kind: str, *entries: EmbeddedDocument) -> None:
    wanted = Collection(
        tenant="t",
        name="things",
        kind="faq" if kind == "faq" else "documents",
        fields={"group": "keyword"},
        fingerprint=CARD.fingerprint,
    )
    collection = await store.put_collection(wanted, None)
    assert collection
    await store.write(collection, entries)


async def searched(store: MemoryStore, request: SearchRequest) -> SearchResponse:
    pipeline = SearchPipeline(store, OneModel(Fixed()))
    return await pipeline.run(await pipeline.prepare("t", request), None, Stages(Telemetry()))


async def asked(store: MemoryStore, limit: int, minimum: float = -1) -> FaqResponse:
    search = FaqSearch(store, OneModel(Fixed()), FaqDefaults(limit, minimum))
    prepared = await search.prepare("t", FaqRequest(query="any", collection="things"))
    return await search.run(prepared, None, Stages(Telemetry()))


def request(mode: str = "vector", **fields: object) -> SearchRequest:
    return SearchRequest(**{"query": "any", "collection": "things", "mode": mode, **fields})  # type: ignore[arg-type]  # by name


THREE = (entry("best", 0.9), entry("good", 0.8), entry("fair", 0.7))


async def test_what_is_returned_is_fetched_at_once_and_nothing_else() -> None:
    store = WatchedStore()
    await filled(store, "documents", *THREE)
    answer = await searched(store, request(limit=2))
    assert [hit.document_id for hit in answer.hits] == ["best", "good"]
    assert store.fetched == [[hit.id for hit in answer.hits]]


async def test_what_is_below_the_minimum_score_is_not_fetched() -> None:
    store = WatchedStore()
    await filled(store, "documents", *THREE)
    assert len((await searched(store, request("hybrid", minimum_vector_score=0.75))).hits) == 2
    assert (await searched(store, request("hybrid", minimum_vector_score=0.95))).hits == []
    assert [len(ids) for ids in store.fetched] == [2]


async def test_a_passage_deleted_after_a_leg_found_it_is_left_out() -> None:
    store = WatchedStore(deleted=["best"])
    await filled(store, "documents", *THREE)
    assert [hit.document_id for hit in (await searched(store, request(limit=2))).hits] == ["good"]


async def test_a_passage_rewritten_to_something_that_the_filter_forbids_is_left_out() -> None:
    store = WatchedStore(entry("best", 0.9, group="secret"))
    await filled(store, "documents", *THREE)
    answer = await searched(store, request(filters={"group": "open"}))
    assert [hit.document_id for hit in answer.hits] == ["good", "fair"]


async def test_entries_are_fetched_in_slices_until_there_are_enough() -> None:
    store = WatchedStore()
    await filled(
        store, "faq", entry("many", 0.9, 0.89, 0.88), entry("one", 0.8), *(entry(f"e{n}", 0.5) for n in range(30))
    )
    answer = await asked(store, limit=2)
    assert [(one.id, one.matched_question) for one in answer.answers] == [("many", "many 0"), ("one", "one 0")]
    assert [len(ids) for ids in store.fetched] == [2, 8]


async def test_entries_below_the_minimum_score_are_not_fetched() -> None:
    store = WatchedStore()
    await filled(store, "faq", *THREE)
    assert [one.id for one in (await asked(store, limit=5, minimum=0.75)).answers] == ["best", "good"]
    assert (await asked(store, limit=5, minimum=0.95)).answers == []
    assert [len(ids) for ids in store.fetched] == [2]


async def test_an_entry_that_many_variants_of_another_hide_is_found() -> None:
    store = WatchedStore()
    await filled(store, "faq", entry("many", *(0.9 for _ in range(300))), entry("one", 0.5))
    assert [one.id for one in (await asked(store, limit=2)).answers] == ["many", "one"]


async def test_an_entry_deleted_after_it_was_found_gives_way_to_the_next() -> None:
    store = WatchedStore(deleted=["best"])
    await filled(store, "faq", *THREE)
    assert [one.id for one in (await asked(store, limit=1)).answers] == ["good"]
