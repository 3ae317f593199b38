"""A reindex and a rollback under steady searches and writes, and what callers saw of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
from msgspec import Struct

WORDS: Final = ("apple", "river", "engine", "music", "castle", "planet", "bread", "law", "virus", "paint", "snow")
PASSAGE_TOKENS: Final = 40
LONGEST_SHORT: Final = 250
"""Characters that no passage of so many tokens has, of these texts; those of the other generation all have more."""
AFTER_SECONDS: Final = 2.0
"""That the load goes on after each change."""


class Seen(Struct):
    """What callers saw."""

    searches: int = 0
    writes: int = 0
    errors: int = 0
    old_after_switch: int = 0
    """Answers of the generation before, to searches that were sent after the switch was acknowledged."""
    old_after_rollback: int = 0
    lost_at_switch: int = 0
    """Acknowledged writes that are missing, or undone, after the switch."""
    lost_at_rollback: int = 0
    build_seconds: float = 0.0
    first_error: str = ""


def text_of(number: int) -> str:
    """Return a text whose passages differ in length between the generations."""
    return " ".join(f"{WORDS[(number + place) % 11]} {number} {place}" for place in range(60))


class Load:
    """Searches and writes at fixed rates, whatever becomes of those before."""

    def __init__(self, client: httpx.AsyncClient, collection: str) -> None:
        self.seen = Seen()
        self.present: dict[str, bool] = {}
        """Documents written here: whether they are to be there."""
        self._client = client
        self._collection = collection
        self._switched: float | None = None
        self._rolled_back: float | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._is_ending = False

    async def run(self, searches: float, writes: float) -> None:
        """Go on until `end`; so many of each a second."""
        await asyncio.gather(self._repeat(searches, self._search), self._repeat(writes, self._write))
        await asyncio.gather(*self._running)

    def end(self) -> None:
        self._is_ending = True

    def is_switched(self) -> None:
        """From now on nothing of the generation before may come."""
        self._switched = time.perf_counter()

    def is_rolled_back(self) -> None:
        self._rolled_back = time.perf_counter()

    async def _repeat(self, rate: float, call: Callable[[int], Awaitable[None]]) -> None:
        begun, number = time.perf_counter(), 0
        while not self._is_ending:
            task = asyncio.create_task(self._counted(call, number))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            number += 1
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))

    async def _counted(self, call: Callable[[int], Awaitable[None]], number: int) -> None:
        try:
            await call(number)
        except (httpx.HTTPError, AssertionError) as error:
            self.seen.errors += 1
            self.seen.first_error = self.seen.first_error or f"{type(error).__name__}: {error}"

    async def _search(self, number: int) -> None:
        sent = time.perf_counter()
        asked = {"query": f"{WORDS[number % 11]} {number % 200}", "collection": self._collection, "limit": 5}
        answer = await self._client.post("/search", json=asked)
        self.seen.searches += 1
        assert answer.status_code == httpx.codes.OK, answer.text
        hits = answer.json()["hits"]
        assert hits
        is_short = max(len(hit["text"]) for hit in hits) < LONGEST_SHORT
        if self._rolled_back and sent > self._rolled_back:
            self.seen.old_after_rollback += is_short
        elif self._switched and sent > self._switched and self._rolled_back is None:
            self.seen.old_after_switch += not is_short

    async def _write(self, number: int) -> None:
        """Write a document, and delete every third one of those again."""
        identifier, path = f"w{number}", f"/collections/{self._collection}/documents"
        answer = await self._client.post(path, json={"id": identifier, "text": text_of(number)})
        self.seen.writes += 1
        assert answer.status_code == httpx.codes.OK, answer.text
        if number % 3 == 0:
            deleted = await self._client.delete(f"{path}/{identifier}")
            assert deleted.status_code == httpx.codes.OK, deleted.text
        self.present[identifier] = number % 3 != 0


async def reindex_under_load(url: str, collection: str, model: str, searches: float, writes: float) -> Seen:
    """Reindex, switch and roll back a collection of `text_of` documents under load; returns what was seen."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        load = Load(client, collection)
        running = asyncio.create_task(load.run(searches, writes))
        begun = time.perf_counter()
        body = {"model": model, "passage_tokens": PASSAGE_TOKENS, "force": True}
        begin = await client.post(f"/collections/{collection}/reindex", json=body)
        assert begin.status_code == httpx.codes.ACCEPTED, begin.text
        await _switched(client, collection)
        load.is_switched()
        load.seen.build_seconds = time.perf_counter() - begun
        await asyncio.sleep(AFTER_SECONDS)
        back = await client.post(f"/collections/{collection}/rollback")
        assert back.status_code == httpx.codes.OK, back.text
        load.is_rolled_back()
        await asyncio.sleep(AFTER_SECONDS)
        load.end()
        await running
        load.seen.lost_at_rollback = await _lost(client, collection, load.present)
        await client.post(f"/collections/{collection}/rollback")
        load.seen.lost_at_switch = await _lost(client, collection, load.present)
        return load.seen


async def _switched(client: httpx.AsyncClient, collection: str) -> None:
    while True:
        found = (await client.get(f"/collections/{collection}")).json()
        if found["reindex"]["state"] == "switched":
            return
        await asyncio.sleep(0.02)


async def _lost(client: httpx.AsyncClient, collection: str, present: dict[str, bool]) -> int:
    """Count the documents that are not what was acknowledged last."""
    found: set[str] = set()
    cursor: dict[str, str] = {}
    while True:
        page: dict[str, Any] = (
            await client.get(f"/collections/{collection}/documents", params={"limit": 1000, **cursor})
        ).json()
        found |= {one["id"] for one in page["documents"]}
        if not page["next_cursor"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    return sum((identifier in found) != is_there for identifier, is_there in present.items())
