"""Retrieval quality on real data, through the public interface."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.embedders.batching import open_embedder
from service.embedders.onnx import load_onnx_model
from tests.tools.running import SHARED_DATA, Running, running_service
from tests.tools.servers import redis_server
from tests.tools.weaviate import RunningNode

pytestmark = pytest.mark.slow

ROOMY = {"redis_budget_ms": "5000", "weaviate_budget_ms": "10000"}
"""Budgets that a busy machine does not use up: what is measured is quality."""


@pytest.fixture(scope="module")
def measured(weaviate: RunningNode) -> dict[str, dict[str, float]]:
    """nDCG@10 of cisi by store and mode; each passage is embedded once, since both share a Redis."""
    over_weaviate = {
        "store": "weaviate",
        "weaviate_url": weaviate.url,
        "weaviate_grpc_address": weaviate.grpc_address,
    }
    found = {}
    with redis_server() as redis:
        for store, settings in {"embedded": {}, "weaviate": over_weaviate}.items():
            with running_service(redis_url=redis.url, **ROOMY, **settings) as service:
                service.command("ingest", str(SHARED_DATA / "cisi.jsonl.gz"), "--collection", "cisi")
                found[store] = evaluate(service)
    print(found)  # noqa: T201  # the figures belong in the log of a run
    return found


def evaluate(service: Running) -> dict[str, float]:
    modes = ("--mode", "hybrid", "--mode", "vector", "--mode", "keyword")
    queries = str(SHARED_DATA / "cisi-queries.jsonl")
    printed = json.loads(service.command("evaluate", queries, "--collection", "cisi", *modes, "--json"))
    return {result["mode"]: result["ndcg"] for result in printed["results"]}


@pytest.mark.parametrize("store", ["embedded", "weaviate"])
def test_hybrid_search_is_better_than_either_leg_alone(measured: dict[str, dict[str, float]], store: str) -> None:
    found = measured[store]
    assert found["hybrid"] >= 0.45
    assert found["hybrid"] > max(found["vector"], found["keyword"])


@pytest.mark.parametrize("mode", ["hybrid", "vector", "keyword"])
def test_both_stores_answer_equally_well(measured: dict[str, dict[str, float]], mode: str) -> None:
    assert measured["weaviate"][mode] == pytest.approx(measured["embedded"][mode], abs=0.01)


async def embedded(texts: list[str]) -> Any:
    async with open_embedder(load_onnx_model("all-MiniLM-L6-v2")) as embedder:
        return await embedder.embed(texts, "query")


@pytest.mark.anyio
async def test_the_first_answer_is_of_the_right_category_and_that_of_exact_search(tmp_path: Path) -> None:
    with (SHARED_DATA / "banking77-train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(77).shuffle(rows)
    aside, kept = rows[: len(rows) // 5], rows[len(rows) // 5 :]
    spreadsheet = tmp_path / "kept.csv"
    with spreadsheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "category"])
        writer.writeheader()
        writer.writerows(kept)
    vectors = await embedded([row["text"] for row in kept])
    asked = await embedded([row["text"] for row in aside])
    similarities = asked @ vectors.T
    with running_service(tmp_path / "data") as service:
        mapping = ["--question", "text", "--answer", "category", "--group-by", "category"]
        service.command("ingest", str(spreadsheet), "--collection", "bank", "--faq", *mapping)
        answers = ask(service, [row["text"] for row in aside])
    right = sum(answer["answer"] == row["category"] for answer, row in zip(answers, aside, strict=True))
    print(f"first answer right: {right / len(aside):.4f} of {len(aside)}")  # noqa: T201  # the same
    assert right / len(aside) >= 0.90
    for row, answer in enumerate(answers):
        best = similarities[row].max()
        assert answer["score"] == pytest.approx(float(best), abs=1e-3)
        tied = {kept[column]["category"] for column in np.flatnonzero(similarities[row] >= best - 1e-3)}
        assert answer["answer"] in tied


def ask(service: Running, questions: list[str]) -> list[Any]:
    answers = []
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for first in range(0, len(questions), 50):
            queries = [
                {"query": question, "collection": "bank", "limit": 1, "minimum_score": -1}
                for question in questions[first : first + 50]
            ]
            results = client.post("/faq/search/batch", json={"queries": queries}).json()["results"]
            answers += [result["answers"][0] for result in results]
    return answers
