"""Retrieval quality on judged queries, as a user measures it: `retrieval evaluate`."""

import json

from scripts.bench.figures import Figure
from tests.tools.running import SHARED_DATA, running_service

GOAL = 0.45


async def measure() -> list[Figure]:
    """Evaluate cisi in each mode."""
    with running_service() as service:
        service.command("ingest", str(SHARED_DATA / "cisi.jsonl.gz"), "--collection", "documents")
        queries = str(SHARED_DATA / "cisi-queries.jsonl")
        modes = ("--mode", "hybrid", "--mode", "vector", "--mode", "keyword")
        printed = json.loads(service.command("evaluate", queries, "--collection", "documents", *modes, "--json"))
        return [
            Figure(
                f"cisi nDCG@10, {result['mode']}",
                result["ndcg"],
                goal=GOAL if result["mode"] == "hybrid" else None,
                is_least=True,
            )
            for result in printed["results"]
        ]
