"""Steady searches, no two alike, and imports, through one service, while a test hurts what is behind it."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.cluster.load import content, topic

READERS = 6
READ_PAUSE_SECONDS = 0.02
IMPORT_PAUSE_SECONDS = 0.1
DOCUMENTS_AT_ONCE = 5
PATH = "/collections/documents/documents"


class Traffic:
    """What was asked of a service, and what it answered."""

    def __init__(self, client: httpx.AsyncClient, readers: int = READERS) -> None:
        self.failures: list[str] = []
        """Of searches."""
        self.acknowledged: list[str] = []
        """Ids of documents."""
        self.counts: Counter[str] = Counter()
        self._client = client
        self._readers = readers
        self._seconds: dict[str, list[float]] = {}
        self._ended = asyncio.Event()
        self._phase = ""
        self._numbers = itertools.count()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Search and import all the time; what was begun is ended."""
        is_over = asyncio.Event()
        tasks = [asyncio.create_task(self._keep_searching(is_over)) for _ in range(self._readers)]
        tasks.append(asyncio.create_task(self._keep_importing(is_over)))
        try:
            yield
        finally:
            is_over.set()
            await asyncio.gather(*tasks)

    async def phase(self, name: str, searches: int) -> None:
        """Begin a phase, and wait until so many searches in it have ended."""
        ended = self._seconds[name] = []
        self._phase = name
        while len(ended) < searches:
            self._ended.clear()
            await self._ended.wait()

    async def import_documents(self) -> bool:
        """Import a few new documents, all of them again and again until they are taken; tells whether it took one."""
        documents = [content(number % 200, number) | {"id": f"n{number}"} for number in self._some_numbers()]
        for attempt in itertools.count():
            try:
                answer = await self._client.post(PATH, json=documents)
            except httpx.TransportError as error:
                self.failures.append(f"import: {error!r}")
                return False
            if answer.is_success and not answer.json()["failures"]:
                self.acknowledged += [str(document["id"]) for document in documents]
                self.counts["imports"] += 1
                return attempt == 0
            self.counts[f"imports answered {answer.status_code}"] += 1
            await asyncio.sleep(0.2)
        raise AssertionError

    async def lost(self) -> list[str]:
        """Return the documents that were acknowledged and are not there."""
        found = [(await self._client.get(f"{PATH}/{identifier}")).status_code for identifier in self.acknowledged]
        return [
            identifier for identifier, status in zip(self.acknowledged, found, strict=True) if status != httpx.codes.OK
        ]

    def percentile(self, phase: str, share: float) -> float:
        """Return how long that share of a phase's searches took at most, in milliseconds."""
        ordered = sorted(self._seconds[phase])
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def summary(self) -> str:
        """Return the times of each phase, and the counts."""
        lines = [
            f"{phase}: {len(seconds)} searches, p50 {self.percentile(phase, 0.5):.1f}, "
            f"p99 {self.percentile(phase, 0.99):.1f}, longest {self.percentile(phase, 1):.1f} ms"
            for phase, seconds in self._seconds.items()
        ]
        return "\n".join([*lines, str(dict(self.counts))])

    def _some_numbers(self) -> list[int]:
        return [next(self._numbers) for _ in range(DOCUMENTS_AT_ONCE)]

    async def _keep_searching(self, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            number = next(self._numbers)
            phase, began = self._phase, time.monotonic()
            body = {"query": f"{topic(number % 200)} {number}", "collection": "documents", "limit": 3}
            try:
                answer = await self._client.post("/search", json=body)
            except httpx.TransportError as error:
                self.failures.append(f"search: {error!r}")
                continue
            if answer.status_code == httpx.codes.OK:
                self.counts["searches"] += 1
                self.counts["searches degraded"] += bool(answer.json()["degraded"])
                self._seconds[phase].append(time.monotonic() - began)
                self._ended.set()
            else:
                self.failures.append(f"search while {phase}: {answer.status_code} {answer.text[:300]}")
            await asyncio.sleep(READ_PAUSE_SECONDS)

    async def _keep_importing(self, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            await self.import_documents()
            await asyncio.sleep(IMPORT_PAUSE_SECONDS)
