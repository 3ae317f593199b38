"""The figures published for such services: few queries asked again and again, and a trace of FAQ questions."""

import asyncio
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from scripts.bench.caches.load import Answer, ask_all, empty_caches, request
from scripts.bench.caches.passages import fill, queries, questions
from scripts.bench.figures import Figure, median, percentile
from tests.tools.running import Running, running_service
from tests.tools.servers import redis_server

PASSAGES = 5_000
ROUNDS = 3
CALLERS = 10
REPEATED, QUERIES = 1_000, 20
ENTRIES = 1_000
COMMON, RARE = 100, 900
"""Questions that 80 % of the requests ask, and those that the rest ask."""
TRACE = 10_000
STRICT = 2_000
COMMON_SHARE = 0.8
COMPUTED = re.compile(rb'faq_cache_misses_total\{cache_type="embedding"\} ([0-9.]+)')


async def measure() -> list[Figure]:
    """Hold our figures against the published ones, 10 requests at a time; Redis is configured."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as temporary, redis_server() as redis:
        data, entries = Path(temporary, "data"), Path(temporary, "entries.jsonl")
        asyncio.run(fill(data, PASSAGES))
        _write_entries(entries)
        with running_service(data, redis_url=redis.url) as service:
            service.command("ingest", str(entries), "--collection", "faq", "--faq")
            return [*_repeated(service), *_popular(service), *_strict(service)]


def _repeated(service: Running) -> list[Figure]:
    """Ask few queries again and again, beginning with empty caches each round."""
    random, asked = np.random.default_rng(0), queries(QUERIES)
    shares, answers = [], list[Answer]()
    for _ in range(ROUNDS):
        empty_caches(service.port)
        drawn = [request({"query": asked[place]}) for place in random.integers(0, QUERIES, REPEATED)]
        answers = ask_all(service.port, drawn, CALLERS)
        shares.append(_hits(answers))
    return [
        Figure(f"hits, {REPEATED:,} requests over {QUERIES} queries", median(shares), goal=0.97, is_least=True),
        Figure("others that waited for the same computation", _collapsed(answers)),
        Figure("p99 of cached answers", percentile(_cached(answers), 0.99) * 1000, "ms", goal=10),
    ]


def _popular(service: Running) -> list[Figure]:
    """Ask a few questions four times in five, else one of many; a repeat is any question asked before."""
    random, asked = np.random.default_rng(0), _asked()
    is_common = random.random(TRACE) < COMMON_SHARE
    places = np.where(is_common, random.integers(0, COMMON, TRACE), random.integers(COMMON, COMMON + RARE, TRACE))
    answers, computed = _trace(service, (asked[place] for place in places))
    seconds = [answer.seconds for answer in answers]
    return [
        Figure("FAQ: requests that repeat a question", 1 - len({*places.tolist()}) / TRACE),
        Figure("FAQ: hits", _hits(answers), goal=0.8, is_least=True),
        Figure("FAQ: fewer texts embedded than requests", 100 * (1 - computed / TRACE), "%", goal=90, is_least=True),
        Figure("FAQ: p50", median(seconds) * 1000, "ms", goal=12),
        Figure("FAQ: p95", percentile(seconds, 0.95) * 1000, "ms", goal=38),
        Figure("FAQ: p99", percentile(seconds, 0.99) * 1000, "ms", goal=85),
        Figure("FAQ: p99 of cached answers", percentile(_cached(answers), 0.99) * 1000, "ms", goal=10),
    ]


def _strict(service: Running) -> list[Figure]:
    """Ask a new question every fifth time, else one asked before: more than 80 % of hits is impossible."""
    random, asked = np.random.default_rng(0), _asked()
    places, seen = [], 0
    for number in range(STRICT):
        is_new = number % 5 == 0
        places.append(seen if is_new else int(random.integers(0, seen)))
        seen += is_new
    answers, computed = _trace(service, (asked[place] for place in places))
    return [
        Figure("FAQ, every fifth question new: hits", _hits(answers)),
        Figure("FAQ, every fifth question new: waited for the same computation", _collapsed(answers)),
        Figure("FAQ, every fifth question new: fewer texts embedded", 100 * (1 - computed / STRICT), "%"),
        Figure("FAQ, every fifth question new: p50", median([answer.seconds for answer in answers]) * 1000, "ms"),
    ]


def _trace(service: Running, asked: Iterable[str]) -> tuple[list[Answer], float]:
    """Ask the questions with empty caches; returns also how many texts the model embedded for them."""
    empty_caches(service.port)
    before = _computed(service)
    answers = ask_all(service.port, (request({"query": query}, "/faq/search") for query in asked), CALLERS)
    return answers, _computed(service) - before


def _computed(service: Running) -> float:
    (answer,) = ask_all(service.port, [request({}, "/metrics", method="GET")])
    found = COMPUTED.search(answer.body)
    if found is None:
        raise RuntimeError("the service does not count the embeddings of FAQ searches")
    return float(found[1])


def _write_entries(file: Path) -> None:
    lines = [
        json.dumps({"id": str(number), "question": question, "answer": f"About this: {question}"})
        for number, question in enumerate(islice(questions(), ENTRIES))
    ]
    file.write_text("\n".join(lines))


def _asked() -> list[str]:
    """Return questions that are no entry's own."""
    return questions()[ENTRIES : ENTRIES + COMMON + RARE]


def _hits(answers: Sequence[Answer]) -> float:
    return sum(answer.is_hit for answer in answers) / len(answers)


def _collapsed(answers: Sequence[Answer]) -> float:
    return sum("; collapsed" in answer.cache_status for answer in answers) / len(answers)


def _cached(answers: Sequence[Answer]) -> list[float]:
    return [answer.seconds for answer in answers if answer.is_hit]
