"""A steady load through a proxy: clients with addresses, cookies and kept connections of their own, at a fixed rate."""

import asyncio
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from tests.cluster.load import content, topic
from tests.tools.nginx import RunningNginx
from tests.tools.replicas import Replica

SEARCHERS = 10
JSON, NDJSON = "application/json", "application/x-ndjson"
IMPORTERS = (JSON, JSON, NDJSON, NDJSON)
SEARCH_EVERY_SECONDS = 0.25
IMPORT_EVERY_SECONDS = 1.0
DOCUMENTS_AT_ONCE = 5
PATH = "/collections/documents/documents"


class Steady:
    """What was asked through the proxy, and what came of it. No request is sent twice by a client."""

    def __init__(self, proxy: RunningNginx, addresses: Iterator[str]) -> None:
        self.failures: list[str] = []
        self.acknowledged: list[str] = []
        """Ids of documents."""
        self.longest_seconds = 0.0
        self._proxy = proxy
        self._addresses = addresses
        self._ended: Counter[int] = Counter()
        """Requests by the second in which they were answered."""
        self._numbers = itertools.count()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Search and import all the time; what was begun is ended."""
        is_over = asyncio.Event()
        async with AsyncExitStack() as stack:
            await self._import(await stack.enter_async_context(self._client()), JSON)
            self.acknowledged.clear()
            tasks = []
            for number in range(SEARCHERS + len(IMPORTERS)):
                client = await stack.enter_async_context(self._client())
                if number < SEARCHERS:
                    keeping = self._keep_searching(client, is_over)
                else:
                    keeping = self._keep_importing(client, is_over, IMPORTERS[number - SEARCHERS])
                tasks.append(asyncio.create_task(keeping))
            try:
                yield
            finally:
                is_over.set()
                await asyncio.gather(*tasks)

    async def through_restarts(self, processes: Sequence[Replica], calm_seconds: float) -> None:
        """Keep asking while each process is restarted once, the next when the one before is ready again."""
        async with self.flowing():
            await asyncio.sleep(calm_seconds)
            for process in processes:
                await asyncio.to_thread(process.restart)
                await asyncio.sleep(calm_seconds)

    async def lost(self) -> list[str]:
        """Return the documents that were acknowledged and are not there."""
        async with self._client() as client:
            found = [(await client.get(f"{PATH}/{identifier}")).status_code for identifier in self.acknowledged]
        return [one for one, status in zip(self.acknowledged, found, strict=True) if status != httpx.codes.OK]

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self._ended.total()

    def worst_share(self) -> float:
        """Return what the worst whole second had of the throughput of the median one."""
        first, last = min(self._ended), max(self._ended)
        whole = [self._ended[second] for second in range(first + 1, last)]
        return min(whole) / statistics.median(whole)

    def summary(self) -> str:
        """Return what a reader wants to know."""
        return (
            f"{self.requests} requests, {len(self.failures)} failed, {len(self.acknowledged)} documents "
            f"acknowledged; the worst second had {self.worst_share():.0%} of the median one's throughput; "
            f"the longest answer took {1000 * self.longest_seconds:.0f} ms"
        )

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(local_address=next(self._addresses), verify=self._proxy.trust)
        return httpx.AsyncClient(base_url=self._proxy.url, transport=transport, timeout=60)

    async def _keep_searching(self, client: httpx.AsyncClient, is_over: asyncio.Event) -> None:
        async for number in self._beats(SEARCH_EVERY_SECONDS, is_over):
            body = {"query": f"{topic(number % 200)} {number}", "limit": 3}
            await self._ask(client, "/search", body)

    async def _keep_importing(self, client: httpx.AsyncClient, is_over: asyncio.Event, kind: str) -> None:
        async for _ in self._beats(IMPORT_EVERY_SECONDS, is_over):
            await self._import(client, kind)

    async def _import(self, client: httpx.AsyncClient, kind: str) -> None:
        numbers = [next(self._numbers) for _ in range(DOCUMENTS_AT_ONCE)]
        documents = [content(number % 200, number) | {"id": f"n{number}"} for number in numbers]
        if await self._ask(client, PATH, documents, kind):
            self.acknowledged += [str(document["id"]) for document in documents]

    async def _ask(self, client: httpx.AsyncClient, path: str, body: object, kind: str = JSON) -> bool:
        content = "\n".join(map(json.dumps, body)) if isinstance(body, list) and kind == NDJSON else json.dumps(body)
        began = time.monotonic()
        try:
            answer = await client.post(path, content=content, headers={"Content-Type": kind})
        except httpx.TransportError as error:
            self.failures.append(f"{path} {kind}: {error!r}")
            return False
        ended = time.monotonic()
        self._ended[int(ended)] += 1
        self.longest_seconds = max(self.longest_seconds, ended - began)
        if answer.is_success:
            return True
        self.failures.append(f"{path} {kind}: {answer.status_code} {answer.text[:300]}")
        return False

    async def _beats(self, every_seconds: float, is_over: asyncio.Event) -> AsyncIterator[int]:
        """Yield a new number at a fixed rate; beats that a slow answer has covered are left out."""
        following = time.monotonic() + every_seconds * (next(self._numbers) % SEARCHERS) / SEARCHERS
        while not is_over.is_set():
            await asyncio.sleep(following - time.monotonic())
            yield next(self._numbers)
            following = max(following + every_seconds, time.monotonic())
