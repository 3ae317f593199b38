"""Overload: twice what a process can compute, with the admission of searches and with a fixed limit and a long line."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from scripts.bench.caches.load import has_wrk, request, run_wrk
from scripts.bench.figures import Figure
from tests.tools.running import SHARED_DATA, Running, running_service

CALLERS = 800
PAUSE_MILLISECONDS = 1000
SECONDS = 20
BEFORE = """
import service.resilience.admission as a
a.FEWEST = a.MOST = a.FIRST = 64
a.MOST_WAITING = a.MOST_OF_ONE = 100_000
a.Admission.__init__.__defaults__ = (a.Admission.__init__.__defaults__[0], 10.0)
"""
"""What stood there before: 64 at once, and the rest waits as long as the deadline."""
PAUSE = f"delay = function() return {PAUSE_MILLISECONDS} end"


async def measure() -> list[Figure]:
    """Compare the times of searches that are answered, and how many are answered in time."""
    if not has_wrk("an overload is"):
        return []
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary, "data")
        with running_service(data) as service:
            service.command("ingest", str(SHARED_DATA / "cisi.jsonl.gz"), "--collection", "documents")
        before = await asyncio.to_thread(_run, data, BEFORE)
        now = await asyncio.to_thread(_run, data, "")
    return [
        Figure("answers: fixed limit", before["answers"], "1/s"),
        Figure("answers: admission", now["answers"], "1/s", goal=0.9 * before["answers"], is_least=True),
        Figure("answers within 2.5 s: fixed limit", before["good"], "1/s"),
        Figure("answers within 2.5 s: admission", now["good"], "1/s", goal=before["good"], is_least=True),
        Figure("median time of an answer: fixed limit", before["p50"], "s"),
        Figure("median time of an answer: admission", now["p50"], "s", goal=before["p50"]),
        Figure("refused or too late: fixed limit", before["refused"], "1/s"),
        Figure("refused: admission", now["refused"], "1/s"),
        Figure("limit at the end", now["limit"]),
    ]


def _run(data: Path, change: str) -> dict[str, float]:
    with _changed(change), running_service(data) as service:
        _load(service)
        return _figures(service)


@contextmanager
def _changed(change: str) -> Iterator[None]:
    """Change the product in the processes that are started meanwhile, by what Python runs at its start."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(change)
        os.environ["PYTHONPATH"] = folder
        try:
            yield
        finally:
            del os.environ["PYTHONPATH"]


def _load(service: Running) -> None:
    listed = httpx.get(f"{service.url}/collections/documents/documents?limit=100").json()["documents"]
    titles = [document["title"] for document in listed]
    asked = [request({"query": f"{one} {other}"}, Cache_Control="no-store") for one in titles for other in titles[:40]]
    run_wrk(service.port, asked, PAUSE, f"-c{CALLERS}", f"-d{SECONDS}s", "--timeout", "20s")


def _figures(service: Running) -> dict[str, float]:
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    values = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}
    buckets = [
        (float(name.partition('le="')[2].partition('"')[0]), value)
        for name, value in values.items()
        if name.startswith("retrieval_request_duration_seconds_bucket") and 'route="/search",status="200"' in name
    ]
    total = values['retrieval_request_duration_seconds_count{route="/search",status="200"}']
    refused = values['retrieval_request_duration_seconds_count{route="/search",status="503"}']
    return {
        "answers": total / SECONDS,
        "good": dict(buckets)[2.5] / SECONDS,
        "p50": next(bound for bound, value in sorted(buckets) if value >= total / 2),
        "refused": refused / SECONDS,
        "limit": values["retrieval_concurrency_limit"],
    }
