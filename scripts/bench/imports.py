"""The whole of peps.jsonl.gz through the command line, against embedding the same passages alone."""

import asyncio
import gzip
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from scripts.bench.figures import Figure, median, percentile
from service.embedders.batching import open_embedder
from service.embedders.onnx import load_onnx_model
from service.ingest.chunking import Chunker
from tests.tools.running import SHARED_DATA, Client, Running, running_service

PEPS = SHARED_DATA / "peps.jsonl.gz"
QUERIES = (
    "how do I declare a type alias",
    "asynchronous generators",
    "wheel file format",
    "remove the interpreter lock",
)
PAUSE_SECONDS = 0.05
IDLE_QUERIES = 500
SAMPLED = 10
"""Every tenth passage is embedded alone."""


async def measure() -> list[Figure]:
    """Embed alone before and after the import; watch memory and queries during it."""
    contents = _contents()
    sample = contents[::SAMPLED]
    before = await _embedding_alone(sample)
    with tempfile.TemporaryDirectory() as temporary, running_service(Path(temporary)) as service:
        found = await asyncio.to_thread(_import, service)
    after = await _embedding_alone(sample)
    alone, rate = (before + after) / 2, len(contents) / found[0].value
    return [
        Figure("passages", len(contents), goal=15_000, is_least=True),
        Figure("embedding alone, before", before, "passages/s"),
        Figure("embedding alone, after", after, "passages/s"),
        Figure("import through the command line", rate, "passages/s"),
        Figure("ratio", rate / alone, "x", goal=0.85, is_least=True),
        *found,
    ]


def _import(service: Running) -> list[Figure]:
    watch = Watch(service)
    service.command("ingest", str(SHARED_DATA.parent / "DESIGN.md"), "--collection", "warm")
    idle = [watch.query("warm") for _ in range(IDLE_QUERIES)]
    watch.start()
    start = time.perf_counter()
    service.command("ingest", str(PEPS), "--collection", "documents")
    seconds = time.perf_counter() - start
    watch.stop()
    return [
        Figure("whole import", seconds, "s"),
        Figure("largest memory of the service", watch.largest_memory / 1e6, "MB", goal=700),
        Figure("p50 of a query when idle", median(idle) * 1000, "ms"),
        Figure("p50 of a query during the import", median(watch.seconds) * 1000, "ms"),
        Figure("p99 of a query when idle", percentile(idle, 0.99) * 1000, "ms"),
        Figure("p99 of a query during the import", percentile(watch.seconds, 0.99) * 1000, "ms"),
        Figure("ratio of p99", percentile(watch.seconds, 0.99) / percentile(idle, 0.99), "x", goal=3),
    ]


class Watch:
    """Queries now and then, and the largest memory, while something else goes on."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self._client = Client(service.port)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seconds: list[float] = []
        self.largest_memory = 0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the last query."""
        self._stopped.set()
        self._thread.join()

    def query(self, collection: str) -> float:
        """Ask once; returns the seconds it took."""
        start = time.perf_counter()
        self._client.post("/search", {"query": QUERIES[len(self.seconds) % len(QUERIES)], "collection": collection})
        return time.perf_counter() - start

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE_SECONDS):
            self.seconds.append(self.query("warm"))
            self.largest_memory = max(self.largest_memory, self._service.process.memory_info().rss)


def _contents() -> list[str]:
    """Return what is embedded of all documents."""
    model = load_onnx_model("all-MiniLM-L6-v2")
    chunker = Chunker(model.tokenizer, model.card.window)
    with gzip.open(PEPS) as lines:
        documents = [msgspec.json.decode(line) for line in lines]
    return [chunk.content for document in documents for chunk in chunker.split(document["title"], document["text"])]


async def _embedding_alone(contents: list[str]) -> float:
    """Embed passages and do nothing else; returns passages per second."""
    async with open_embedder(load_onnx_model("all-MiniLM-L6-v2")) as embedder:
        start = time.perf_counter()
        await embedder.embed(contents, "passage")
        return len(contents) / (time.perf_counter() - start)
