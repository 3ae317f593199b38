"""Two releases share one Redis, and whatever else stands under our keys there harms nobody."""

import asyncio
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zlib import crc32

import httpx
import pytest
import redis
import zstandard

from service.caches.base import Cached
from service.caches.codec import COMPRESSED, FIELDS, SEEDS, START, encode
from tests.cluster.load import Load, content, topic
from tests.cluster.processes import SharedProcess, shared_processes
from tests.cluster.traces import Trace
from tests.tools.servers import redis_server

pytestmark = pytest.mark.anyio

ROOMY = {"RETRIEVAL_REDIS_BUDGET_MS": "5000"}
"""A budget that a busy machine does not use up: what is counted as an error is one then."""


@pytest.mark.parametrize("change", [{"SHARED_RELEASE": "2"}, {"SHARED_FORMAT": "1"}], ids=["names", "format"])
async def test_two_releases_share_a_redis_and_see_each_others_writes(tmp_path: Path, change: dict[str, str]) -> None:
    trace = Trace()
    with (
        redis_server() as server,
        shared_processes(2, server.url, tmp_path, name="old", **ROOMY) as old,
        shared_processes(2, server.url, tmp_path, name="new", **ROOMY, **change) as new,
    ):
        async with httpx.AsyncClient(timeout=10) as client:
            load = Load([*old, *new], trace, client)
            await load.fill()
            await load.run(5)
            for writing, reading in ((old, new), (new, old)):
                await see_each_others_writes(Load(reading, trace, client, writing=writing), load)
            for process in (*old, *new):
                metrics = (await client.get(f"{process.url}/metrics")).text
                assert "retrieval_cache_requests_total{" in metrics
                errors = [line for line in metrics.splitlines() if 'outcome="error"' in line]
                assert errors
                assert all(line.endswith(" 0.0") for line in errors), errors
    assert not trace.failures
    assert not trace.violations()
    assert {read.tier for read in trace.reads} == {"memory", "redis", ""}


async def see_each_others_writes(load: Load, known: Load) -> None:
    """Write by some processes; ask the others at once with the version, and after a second without."""
    load.numbers = known.numbers
    for document in range(5):
        for process in load.processes:
            await load.read(process, document)
        await load.write(document)
        for process in load.processes:
            await load.read(process, document, load.trace.writes[-1])
    await asyncio.sleep(1.05)
    for document in range(5):
        for process in load.processes:
            await load.read(process, document)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


def bomb(_: bytes) -> bytes:
    """A value with our checksum, of a few kilobytes that would become a hundred megabytes."""
    frame = zstandard.ZstdCompressor().compress(bytes(100_000_000))
    body = FIELDS.pack(0, 0.0, 10_000, 0, 0) + frame
    return START.pack(b"\xc3r", COMPRESSED, crc32(body, SEEDS[COMPRESSED])) + body


FOREIGN: Mapping[str, Callable[[bytes], bytes]] = {
    "truncated": lambda value: value[: len(value) // 2],
    "flipped": lambda value: value[:-3] + bytes([value[-3] ^ 4]) + value[-2:],
    "empty": lambda _: b"",
    "text": lambda _: b'{"hits": []}',
    "of another format": lambda value: value[:2] + bytes([value[2] + 1]) + value[3:],
    "a bomb": bomb,
    "an embedding of no dimensions": lambda _: encode(Cached(value=b"", stored=2e9, ttl_seconds=60), compress=False),
}


class Poisoned:
    """A Redis whose values of ours a test replaces, and two processes on it: one fills it, the other reads it."""

    def __init__(self, keys: redis.Redis, processes: list[SharedProcess], client: httpx.Client) -> None:
        self.keys = keys
        self._filling, self._reading = processes
        self._client = client
        self._documents = iter(range(100))

    def check(self, replace: Callable[[bytes, bytes], object]) -> None:
        """Have answers cached, replace what Redis keeps of them, and ask the process that has nothing in memory."""
        documents = [next(self._documents) for _ in range(3)]
        before = set(self.keys.scan_iter("retrieval:v*"))
        answers = [self._ask(self._filling, document) for document in documents]
        keys = set(self.keys.scan_iter("retrieval:v*")) - before
        assert len(keys) == 2 * len(documents)
        for key in keys:
            value = self.keys.get(key)
            assert isinstance(value, bytes)
            replace(key, value)
        for document, answer in zip(documents, answers, strict=True):
            again = self._ask(self._reading, document)
            assert "fwd=miss" in again.headers["cache-status"]
            assert again.json() == answer.json()
            assert "hit; detail=memory" in self._ask(self._reading, document).headers["cache-status"]

    def _ask(self, process: SharedProcess, document: int) -> httpx.Response:
        answer = self._client.post(f"{process.url}/search", json={"query": topic(document), "limit": 3})
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Poisoned]:
    directory = tmp_path_factory.mktemp("poisoned")
    with (
        redis_server() as server,
        shared_processes(2, server.url, directory, RETRIEVAL_SETTLING_SECONDS="0", **ROOMY) as processes,
        httpx.Client(timeout=60) as client,
    ):
        address = f"{processes[0].url}/collections/documents/documents"
        documents = [content(document, 0) for document in range(100)]
        assert client.post(address, json=documents).json()["created"] == 100
        with redis.Redis(port=server.port) as keys:
            yield Poisoned(keys, processes, client)


@pytest.mark.parametrize("kind", FOREIGN)
def test_bytes_that_are_not_ours_are_a_miss(poisoned: Poisoned, kind: str) -> None:
    poisoned.check(lambda key, value: poisoned.keys.set(key, FOREIGN[kind](value)))


def test_a_pickle_is_a_miss_and_runs_nothing(poisoned: Poisoned, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    poisoned.check(lambda key, _: poisoned.keys.set(key, trap))
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)  # noqa: S301  # the trap works
    assert (tmp_path / "sprung").exists()


def test_a_key_of_another_type_is_a_miss(poisoned: Poisoned) -> None:
    def replace(key: bytes, _: bytes) -> None:
        poisoned.keys.delete(key)
        poisoned.keys.rpush(key, "a", "list")

    poisoned.check(replace)
