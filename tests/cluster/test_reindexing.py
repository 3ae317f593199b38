"""A reindex by one process over Weaviate, while another one writes: no acknowledged write is missing anywhere."""

import asyncio
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from tests.cluster.processes import shared_processes
from tests.tools.reindexing import text_of
from tests.tools.running import PATIENT
from tests.tools.servers import redis_server
from tests.tools.weaviate import RunningNode, settings_of

pytestmark = pytest.mark.anyio

DOCUMENTS = 40
PASSAGE_TOKENS = 40
LONGEST_SECONDS = 120
"""The next generation waits for all writes that may have been announced before it, for thirty seconds if need be."""


class Writing:
    """Writes documents one after the other, and deletes each third; `present` is what is there in the end."""

    def __init__(self, client: httpx.AsyncClient, address: str) -> None:
        self.present: set[str] = set()
        self.is_ending = False
        self._client = client
        self._address = address

    async def run(self) -> None:
        number = 0
        while not self.is_ending:
            identifier = f"w{number}"
            body = {"id": identifier, "text": text_of(number)}
            (await self._client.post(self._address, json=body)).raise_for_status()
            if number % 3:
                self.present.add(identifier)
            else:
                (await self._client.delete(f"{self._address}/{identifier}")).raise_for_status()
            number += 1


@pytest.mark.slow
async def test_a_reindex_in_one_process_misses_no_write_of_another(tmp_path: Path, weaviate: RunningNode) -> None:
    name = f"c{token_hex(4)}"
    with (
        redis_server() as redis,
        shared_processes(2, redis.url, tmp_path, **settings_of(weaviate), **PATIENT) as (builder, writer),
    ):
        async with httpx.AsyncClient(timeout=60) as client:
            ours, theirs = (f"{process.url}/collections/{name}" for process in (builder, writer))
            loaded = [{"id": f"d{number}", "text": text_of(number)} for number in range(DOCUMENTS)]
            (await client.post(f"{ours}/documents", json=loaded)).raise_for_status()
            writing = Writing(client, f"{theirs}/documents")
            running = asyncio.create_task(writing.run())
            body = {"passage_tokens": PASSAGE_TOKENS, "force": True}
            (await client.post(f"{ours}/reindex", json=body)).raise_for_status()
            after = await switched(client, ours)
            await asyncio.sleep(2)
            writing.is_ending = True
            await running
            expected = {f"d{number}" for number in range(DOCUMENTS)} | writing.present
            assert len(writing.present) > 2
            assert (after["generation"], after["passage_tokens"]) == (2, PASSAGE_TOKENS)
            for address in (ours, theirs):
                assert await listed(client, address) == expected
            back = (await client.post(f"{theirs}/rollback")).raise_for_status().json()
            assert (back["generation"], back["passage_tokens"]) == (1, 0)
            for address in (ours, theirs):
                assert await listed(client, address) == expected
            for process in (builder, writer):
                answer = await client.post(f"{process.url}/search", json={"query": "apple river", "collection": name})
                assert answer.json()["hits"], answer.text


async def switched(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    """Return the collection's description once it is switched."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while True:
            found: dict[str, Any] = (await client.get(address)).raise_for_status().json()
            if found["reindex"] and found["reindex"]["state"] == "switched":
                return found
            await asyncio.sleep(0.2)


async def listed(client: httpx.AsyncClient, address: str) -> set[str]:
    answer = await client.get(f"{address}/documents", params={"limit": 1000})
    return {one["id"] for one in answer.raise_for_status().json()["documents"]}
