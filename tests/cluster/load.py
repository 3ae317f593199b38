"""Writers and readers over several processes, and what makes their life hard."""

import asyncio
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate

import httpx

from tests.cluster.processes import SharedProcess
from tests.cluster.traces import Read, Trace, Write
from tests.tools.servers import RunningRedis

DOCUMENTS = 200
SKEW = 0.9
"""Of Zipf's law, by which documents are asked for and written."""
READERS = 8
PAUSE_SECONDS = 0.02
"""Mean, between two reads of a reader."""
WRITE_EVERY_SECONDS = 0.5
KILL_EVERY_SECONDS = 5.0
OUTAGE_SECONDS = 1.5
ASK_MINIMUM = 0.25
"""Part of the reads that name the version of the last acknowledged write."""
COLOURS = ("amber", "azure", "crimson", "emerald", "golden", "indigo", "ivory", "scarlet", "silver", "violet")
THINGS = (
    *("bicycle", "cathedral", "clock", "engine", "glacier", "guitar", "harbour", "kettle", "lantern", "library"),
    *("microscope", "mountain", "orchard", "piano", "sailboat", "telescope", "tractor", "umbrella", "vineyard", "mill"),
)
WEIGHTS = [*accumulate(1 / rank**SKEW for rank in range(1, DOCUMENTS + 1))]


def topic(document: int) -> str:
    """What this document alone is about."""
    return f"{COLOURS[document % 10]} {THINGS[document // 10]}"


def content(document: int, number: int) -> dict[str, object]:
    """A document as it is imported for the so-manieth time."""
    text = f"The {topic(document)} stands in the hall, and visitors come from far to see it."
    return {"id": f"d{document}", "text": text, "metadata": {"number": number}}


class Load:
    """Readers and a writer, to `writing` alone, that tell a trace what they saw of the first documents."""

    def __init__(
        self,
        processes: Sequence[SharedProcess],
        trace: Trace,
        client: httpx.AsyncClient,
        *,
        writing: Sequence[SharedProcess] | None = None,
        asking_minimum: float = ASK_MINIMUM,
        documents: int = DOCUMENTS,
    ) -> None:
        self.processes = processes
        self.writing = writing or processes
        self.asking_minimum = asking_minimum
        self.trace = trace
        self.numbers: Counter[int] = Counter()
        self._client = client
        self._weights = WEIGHTS[:documents]
        self._latest: Write | None = None

    async def fill(self) -> None:
        """Write all documents, and ask for each once: the embeddings are cached from then on."""
        lines = "\n".join(json.dumps(content(document, 0)) for document in range(DOCUMENTS))
        headers = {"content-type": "application/x-ndjson"}
        address = f"{self.processes[0].url}/collections/documents/documents"
        await self._client.delete(f"{self.processes[0].url}/collections/documents")  # another test's, perhaps
        answer = await self._client.post(address, content=lines, headers=headers)
        assert answer.json()["created"] == DOCUMENTS, answer.text
        for document in range(DOCUMENTS):
            await self.read(random.choice(self.processes), document)
        assert not self.trace.failures, self.trace.failures
        assert all(read.number == 0 for read in self.trace.reads)
        self.trace.reads.clear()

    async def run(self, seconds: float, *disturbances: Callable[[], object]) -> None:
        """Read and write for so long; disturbances happen evenly spread."""
        ends = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(self._keep_reading(ends))
            group.create_task(self._keep_writing(ends))
            for place, disturb in enumerate(disturbances, start=1):
                group.create_task(_later(seconds * place / (len(disturbances) + 1), disturb))
            if disturbances:
                group.create_task(self._keep_killing(ends - KILL_EVERY_SECONDS))

    async def read(self, process: SharedProcess, document: int, minimum: Write | None = None) -> None:
        """Ask a process for a document, and take note of the answer."""
        body = {"query": topic(document), "limit": 3} | ({"minimum_version": minimum.version} if minimum else {})
        name, began = process.name, time.monotonic()
        try:
            answer = await self._client.post(f"{process.url}/search", json=body)
        except httpx.TransportError as error:
            self._note_lost("reads", error)
            return
        ended = time.monotonic()
        hits = answer.json().get("hits", []) if answer.is_success else []
        numbers = [hit["metadata"]["number"] for hit in hits if hit["document_id"] == f"d{document}"]
        if not numbers:
            self.trace.failures.append(f"read: {answer.status_code} {answer.text[:200]}")
            return
        self.trace.reads.append(
            Read(
                document=document,
                number=numbers[0],
                began=began,
                ended=ended,
                process=name if name == process.name else None,
                tier=answer.headers["cache-status"].partition("detail=")[2].partition(";")[0],
                minimum=minimum,
            )
        )

    async def write(self, document: int) -> None:
        """Write a document with its next number, again and again until a process acknowledges it."""
        self.numbers[document] += 1
        number, sent = self.numbers[document], time.monotonic()
        while True:
            process = random.choice(self.writing)
            name = process.name
            try:
                answer = await self._client.post(
                    f"{process.url}/collections/documents/documents", json=content(document, number)
                )
            except httpx.TransportError as error:
                self._note_lost("writes", error)
            else:
                if answer.is_success:
                    version = answer.json()["version"]
                    self._latest = Write(document, number, sent, time.monotonic(), name, version)
                    self.trace.writes.append(self._latest)
                    return
                self.trace.counts[f"writes answered {answer.status_code}"] += 1
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    self.trace.failures.append(f"write: {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(0.1)

    async def last_numbers(self) -> None:
        """Ask every process for every document that was written, into the trace."""
        for process in self.processes:
            for document in self.numbers:
                await self.read(process, document)

    async def _keep_reading(self, ends: float) -> None:
        while time.monotonic() < ends:
            await asyncio.sleep(random.expovariate(1 / PAUSE_SECONDS))
            minimum = self._latest if random.random() < self.asking_minimum else None
            await self.read(random.choice(self.processes), self._any_document(), minimum)

    async def _keep_writing(self, ends: float) -> None:
        while (now := time.monotonic()) < ends:
            await self.write(self._any_document())
            await asyncio.sleep(max(0.0, now + WRITE_EVERY_SECONDS - time.monotonic()))

    async def _keep_killing(self, ends: float) -> None:
        while time.monotonic() < ends:
            process = random.choice(self.processes)
            await asyncio.to_thread(process.kill)
            self.trace.counts["kills"] += 1
            await asyncio.gather(asyncio.to_thread(process.start), asyncio.sleep(KILL_EVERY_SECONDS))

    def _any_document(self) -> int:
        (document,) = random.choices(range(len(self._weights)), cum_weights=self._weights)
        return document

    def _note_lost(self, what: str, error: httpx.TransportError) -> None:
        """Take note of a call that a killed process did not answer; a slow answer is not excused by that."""
        if isinstance(error, httpx.TimeoutException):
            self.trace.failures.append(f"{what}: no answer in time")
        self.trace.counts[f"{what} to killed processes"] += 1


class Troubles:
    """What happens to Redis in the middle of it."""

    def __init__(self, redis: RunningRedis, trace: Trace) -> None:
        self._redis = redis
        self._trace = trace
        self._file = redis.directory / "appendonlydir"
        self._copy = redis.directory / "copy"

    def copy(self) -> None:
        """Keep a copy of what Redis has written so far."""
        shutil.copytree(self._file, self._copy)

    def restart(self) -> None:
        """End it and start it again, with all it had written."""
        self._while_down(lambda: None)

    def restart_empty(self) -> None:
        """Start it again without its file."""
        self._while_down(lambda: shutil.rmtree(self._file))

    def restart_older(self) -> None:
        """Start it again with the copy, as after a failover to a replica that lags."""

        def restore() -> None:
            shutil.rmtree(self._file)
            shutil.copytree(self._copy, self._file)

        self._while_down(restore)

    def freeze(self) -> None:
        """Stop it for a while; then it does what was sent meanwhile, though nobody waits for it any more."""
        began = time.monotonic()
        self._redis.freeze()
        time.sleep(OUTAGE_SECONDS)
        self._redis.thaw()
        self._trace.outages.append((began, time.monotonic()))

    def flush(self) -> None:
        """Empty it while it runs."""
        self._redis.say("FLUSHALL")

    def _while_down(self, act: Callable[[], None]) -> None:
        began = time.monotonic()
        self._redis.kill()
        act()
        time.sleep(OUTAGE_SECONDS)
        self._redis.restart()
        self._trace.outages.append((began, time.monotonic()))
        self._trace.counts["restarts of Redis"] += 1


async def _later(seconds: float, disturb: Callable[[], object]) -> None:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(disturb)
