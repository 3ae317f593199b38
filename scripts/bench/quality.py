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
        figures = []
        for mode in ("hybrid", "vector", "keyword"):
            printed = service.command("evaluate", queries, "--collection", "documents", "--mode", mode, "--json")
            found = json.loads(printed)
            goal = GOAL if mode == "hybrid" else None
            figures.append(Figure(f"cisi nDCG@10, {mode}", found["ndcg"], goal=goal, is_least=True))
        return figures
