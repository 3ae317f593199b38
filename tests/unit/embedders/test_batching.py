"""The embedder over a model that stops where a test tells it to."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from service.embedders.base import ModelCard, Purpose, Vectors
from service.embedders.batching import QUERY_BATCH_TOKENS, open_embedder
from service.errors import ModelUnavailable

pytestmark = pytest.mark.anyio
PATIENCE_SECONDS = 20


class SteppedModel:
    """Notes each run; a text that begins with "wait" holds its run until `go`, one that begins with "bad" breaks it."""

    def __init__(self) -> None:
        self.card = ModelCard(
            name="stepped", revision="1", dimensions=2, window=64, query_prefix="", passage_prefix="passage: "
        )
        self.tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106  # a token of text
        self.runs: list[list[str]] = []
        self.priorities: dict[str, int] = {}
        self.go = threading.Event()
        self._entered = threading.Semaphore(0)

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.runs.append(list(texts))
        if sys.platform == "linux":
            self.priorities[texts[0]] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        self._entered.release()
        if any("wait" in text for text in texts):
            assert self.go.wait(PATIENCE_SECONDS)
        if any("bad" in text for text in texts):
            raise ValueError("cannot compute this")
        return np.array([vector_of(text) for text in texts], np.float32)

    async def entered(self) -> None:
        """Return once a run has begun that was not waited for yet."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=PATIENCE_SECONDS)


def vector_of(text: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text)))]


@pytest.fixture
def model() -> SteppedModel:
    return SteppedModel()


@pytest.mark.parametrize(("purpose", "prefix"), [("query", ""), ("passage", "passage: ")])
async def test_vectors_come_in_the_order_of_the_texts(model: SteppedModel, purpose: Purpose, prefix: str) -> None:
    texts = [f"text {number}" for number in range(200)]
    async with open_embedder(model) as embedder:
        vectors = await embedder.embed(texts, purpose)
    assert vectors.tolist() == [vector_of(prefix + text) for text in texts]


async def test_no_texts_give_no_vectors(model: SteppedModel) -> None:
    async with open_embedder(model) as embedder:
        assert (await embedder.embed([], "query")).shape == (0, 2)
    assert model.runs == []


async def test_a_query_that_comes_alone_runs_alone(model: SteppedModel) -> None:
    async with open_embedder(model) as embedder:
        await embedder.embed(["first"], "query")
        await embedder.embed(["second"], "query")
    assert model.runs == [["first"], ["second"]]


async def test_queries_that_waited_for_a_busy_model_run_together(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        busy = asyncio.create_task(embedder.embed(["wait"], "query"))
        await model.entered()
        later = [asyncio.create_task(embedder.embed([f"later {number}"], "query")) for number in range(10)]
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(busy, *later)
    assert model.runs == [["wait"], [f"later {number}" for number in range(10)]]


async def test_threads_share_what_waits(model: SteppedModel) -> None:
    async with open_embedder(model, threads=2) as embedder:
        busy = [asyncio.create_task(embedder.embed([f"wait {number}"], "query")) for number in range(2)]
        await model.entered()
        await model.entered()
        later = asyncio.create_task(embedder.embed([f"later {number}" for number in range(10)], "query"))
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(*busy, later)
    assert max(len(run) for run in model.runs) <= 6


async def test_a_batch_keeps_to_its_budget_of_tokens(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        busy = asyncio.create_task(embedder.embed(["wait"], "query"))
        await model.entered()
        later = asyncio.create_task(embedder.embed(["x" * 1000] * 20, "query"))
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(busy, later)
    assert max(len(run) for run in model.runs) == QUERY_BATCH_TOKENS // model.card.window


async def test_passages_run_one_by_one(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        await embedder.embed(["one", "two", "three"], "passage")
    assert model.runs == [["passage: one"], ["passage: two"], ["passage: three"]]


async def test_a_query_overtakes_an_import(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        importing = asyncio.create_task(embedder.embed(["wait", "wait too"], "passage"))
        await model.entered()
        vectors = await embedder.embed(["urgent"], "query")
        assert vectors.tolist() == [vector_of("urgent")]
        assert not importing.done()
        model.go.set()
        await importing


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
async def test_imports_compute_at_the_lowest_priority(model: SteppedModel) -> None:
    async with open_embedder(model) as embedder:
        await embedder.embed(["a query"], "query")
        await embedder.embed(["a text"], "passage")
    assert model.priorities["passage: a text"] == 19
    assert model.priorities["a query"] < 19


async def test_a_cancelled_caller_costs_the_others_nothing(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        running = asyncio.create_task(embedder.embed(["wait"], "query"))
        await model.entered()
        queued = asyncio.create_task(embedder.embed(["nobody wants this"], "query"))
        other = asyncio.create_task(embedder.embed(["other"], "query"))
        await asyncio.sleep(0)
        running.cancel()
        queued.cancel()
        model.go.set()
        assert (await other).tolist() == [vector_of("other")]
    assert running.cancelled()
    assert queued.cancelled()
    assert model.runs == [["wait"], ["other"]]


async def test_an_error_of_the_model_reaches_only_the_callers_of_its_batch(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        first = asyncio.create_task(embedder.embed(["wait"], "query"))
        await model.entered()
        batch = [asyncio.create_task(embedder.embed([text], "query")) for text in ("bad", "its neighbour")]
        await asyncio.sleep(0)
        model.go.set()
        assert (await first).tolist() == [vector_of("wait")]
        outcomes = await asyncio.gather(*batch, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["The embedding model failed: cannot compute this"] * 2
        assert all(isinstance(outcome, ModelUnavailable) for outcome in outcomes)
        assert (await embedder.embed(["after"], "query")).tolist() == [vector_of("after")]


async def test_one_failing_text_fails_its_whole_call(model: SteppedModel) -> None:
    async with open_embedder(model) as embedder:
        with pytest.raises(ModelUnavailable, match="cannot compute this"):
            await embedder.embed(["fine", "bad", "bad too", "fine"], "passage")


async def test_closing_waits_for_the_run_in_progress_and_refuses_the_rest(model: SteppedModel) -> None:
    async with open_embedder(model, threads=1) as embedder:
        running = asyncio.create_task(embedder.embed(["wait"], "passage"))
        await model.entered()
        queued = asyncio.create_task(embedder.embed(["never"], "passage"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(embedder.close())
        await asyncio.sleep(0)
        model.go.set()
        await closing
    assert (await running).tolist() == [vector_of("passage: wait")]
    with pytest.raises(ModelUnavailable, match="closed"):
        await queued
    with pytest.raises(ModelUnavailable, match="closed"):
        await embedder.embed(["too late"], "query")
    assert model.runs == [["passage: wait"]]
