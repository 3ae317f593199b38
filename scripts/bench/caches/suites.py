"""The same queries cold, warm and hot: nothing cached, embeddings cached, results cached."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.bench.caches.load import Answer, ask_all, empty_caches, request
from scripts.bench.caches.passages import fill, queries
from scripts.bench.figures import Figure, median, percentile
from tests.tools.running import running_service
from tests.tools.servers import redis_server

PASSAGES = 20_000
ROUNDS = 5
GOALS = {"hot": 10.0}
"""Of p95, in milliseconds: what is published for cached answers."""


async def measure() -> list[Figure]:
    """Show p50, p95 and rate of one caller."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    plain = [request({"query": query}) for query in queries()]
    anew = [request({"query": query}, Cache_Control="no-cache") for query in queries()]
    suites: dict[str, list[list[float]]] = {"cold": [], "warm": [], "hot": []}
    with tempfile.TemporaryDirectory() as temporary, redis_server() as redis:
        data = Path(temporary, "data")
        asyncio.run(fill(data, PASSAGES))
        with running_service(data, redis_url=redis.url) as service:
            for _ in range(ROUNDS):
                empty_caches(service.port)
                for name, requests in zip(suites, (plain, anew, plain), strict=True):
                    answers = ask_all(service.port, requests)
                    _check(answers, is_hot=name == "hot")
                    suites[name].append([answer.seconds for answer in answers])
    return [figure for name, rounds in suites.items() for figure in _figures(name, rounds)]


def _check(answers: Sequence[Answer], *, is_hot: bool) -> None:
    if any(answer.is_hit != is_hot for answer in answers):
        raise RuntimeError("the suite is not as warm as it should be")


def _figures(name: str, rounds: Sequence[Sequence[float]]) -> list[Figure]:
    return [
        Figure(f"{name}: p50", median([median(seconds) for seconds in rounds]) * 1000, "ms"),
        Figure(
            f"{name}: p95", median([percentile(seconds, 0.95) for seconds in rounds]) * 1000, "ms", goal=GOALS.get(name)
        ),
        Figure(f"{name}: one caller", median([len(seconds) / sum(seconds) for seconds in rounds]), "1/s"),
    ]
