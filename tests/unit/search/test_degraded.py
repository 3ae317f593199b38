"""Where a leg fails the other answers alone, the answer says so, and so does the log."""

import asyncio
import logging

import numpy as np
import pytest

from service.embedders.pool import OneModel
from service.errors import ModelUnavailable, StoreUnavailable
from service.models import Collection, Leg, Match, Mode, Passage, Record, SearchRequest, SearchResponse, passage_id
from service.search.pipeline import SearchPipeline
from service.stages import Stages
from service.stores.base import EmbeddedDocument
from service.stores.memory import MemoryStore
from service.telemetry import Telemetry
from tests.unit.search.fakes import CARD, Fixed


class StoreWithoutKeywords(MemoryStore):
    """Fails in its keyword leg."""

    async def matching(self, *_: object) -> list[Match]:
        raise StoreUnavailable("the index is out")


async def searched(store: MemoryStore, embedder: Fixed, mode: Mode) -> SearchResponse:
    wanted = Collection(tenant="t", name="things", kind="documents", fingerprint=CARD.fingerprint)
    collection = await store.put_collection(wanted, None)
    assert collection
    passage = Passage(id=passage_id("d", 0), document_id="d", position=0, title="", text="a red planet")
    record = Record(id="d", title="", text="a red planet")
    await store.write(collection, [EmbeddedDocument(record, [passage], np.array([[1, 0]], np.float32))])
    request = SearchRequest(query="planet", collection="things", mode=mode)
    pipeline = SearchPipeline(store, OneModel(embedder))
    return await pipeline.run(await pipeline.prepare("t", request), "t", Stages(Telemetry()))


@pytest.mark.parametrize(
    ("store", "embedder", "failed"),
    [
        (StoreWithoutKeywords(), Fixed(), "keyword"),
        (MemoryStore(), Fixed(fails=True), "vector"),
    ],
    ids=["keyword", "vector"],
)
def test_one_leg_answers_where_the_other_fails(
    store: MemoryStore, embedder: Fixed, failed: Leg, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = asyncio.run(searched(store, embedder, "hybrid"))
    assert (found.degraded, [hit.document_id for hit in found.hits]) == ([failed], ["d"])
    assert f"without its {failed} leg" in caplog.text


def test_a_leg_that_fails_alone_is_an_error() -> None:
    with pytest.raises(ModelUnavailable):
        asyncio.run(searched(MemoryStore(), Fixed(fails=True), "vector"))
    with pytest.raises(ModelUnavailable):
        asyncio.run(searched(StoreWithoutKeywords(), Fixed(fails=True), "hybrid"))
