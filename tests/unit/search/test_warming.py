"""A warm-up helps where it can, and a start goes on whatever becomes of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from service.caches.base import Demands
from service.errors import RedisUnavailable, UnknownCollection
from service.models import SearchRequest
from service.search.answering import Answer, Answering
from service.search.hottest import FileHotList, Hot, HotList
from service.search.popularity import Popularity
from service.search.warming import Warmed, Warmer
from service.stages import Stages
from service.telemetry import Telemetry

pytestmark = pytest.mark.anyio

NO_TIME = 0.05


class Scripted(Answering[Any, Any]):
    """Answers a query in the way that it names."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, tenant: str, request: SearchRequest, demands: Demands, stages: Stages) -> Answer:
        del tenant, demands, stages
        self.asked.append(request.query)
        if request.query == "hangs":
            await asyncio.Event().wait()
        if request.query == "refused":
            raise UnknownCollection("gone", [])
        if request.query == "breaks":
            raise ZeroDivisionError
        if request.query == "times out":
            raise TimeoutError
        return Answer(body=b"{}", version="", validator="", outcome="miss")


class Unreadable:
    """A list that nobody can read or write."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def add(self, counts: Sequence[tuple[Hot, int]]) -> None:
        del counts
        raise self._error

    async def read(self, most: int) -> list[Hot]:
        del most
        raise self._error


def search(query: str) -> Hot:
    return Hot("t", "/search", b'{"query":"%s"}' % query.encode())


def warmer(
    tmp_path: Path, hot: HotList | None = None, *, most: int = 20, popularity: Popularity | None = None
) -> tuple[Warmer, Scripted]:
    scripted = Scripted()
    hot = hot or FileHotList(tmp_path / "hot")
    flows = {"/search": (SearchRequest, scripted)}
    return Warmer(flows, popularity or Popularity(), hot, Telemetry(), most), scripted


@pytest.mark.parametrize(
    "failing",
    [
        search("refused"),
        search("breaks"),
        search("times out"),
        Hot("t", "/of/another/release", b'{"query":"tea"}'),
        Hot("t", "/search", b'{"query":"\xff"}'),
        Hot("t", "/search", b'{"query":1}'),
        Hot("t", "/search", b"no JSON"),
        Hot("t", "/search", b"[" * 100_000),
    ],
    ids=lambda hot: f"{hot.path} {hot.body[:20]!r}",
)
async def test_what_fails_is_counted_and_the_rest_is_answered(tmp_path: Path, failing: Hot) -> None:
    warming, scripted = warmer(tmp_path)
    assert await warming.warm([failing, search("tea")]) == Warmed(warmed=1, failed=1, skipped=0)
    assert scripted.asked[-1] == "tea"


async def test_what_there_is_no_time_for_is_skipped(tmp_path: Path) -> None:
    warming, scripted = warmer(tmp_path)
    requests = [search(query) for query in ("tea", "refused", "hangs", "coffee", "milk")]
    assert await warming.warm(requests, NO_TIME) == Warmed(warmed=1, failed=1, skipped=3)
    assert scripted.asked == ["tea", "refused", "hangs"]


async def test_a_warm_up_that_is_cancelled_ends(tmp_path: Path) -> None:
    warming, _ = warmer(tmp_path)
    task = asyncio.create_task(warming.warm([search("hangs")]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", [RedisUnavailable("gone"), PermissionError("not yours")])
async def test_a_list_out_of_reach_hurts_nobody(tmp_path: Path, error: Exception) -> None:
    warming, _ = warmer(tmp_path, Unreadable(error))
    assert await warming.hottest() == []
    await warming.save()


async def test_what_was_asked_is_saved_at_the_end(tmp_path: Path) -> None:
    popularity = Popularity()
    warming, _ = warmer(tmp_path, popularity=popularity)
    async with warming.saving():
        for caller in "abc":
            popularity.note("t", "/search", "k", caller, lambda: search("tea").body)
    again, _ = warmer(tmp_path)
    assert await again.hottest() == [search("tea")]
    none, _ = warmer(tmp_path, most=0)
    assert await none.hottest() == []


async def test_the_hottest_requests_of_one_tenant_are_none_of_another(tmp_path: Path) -> None:
    hot = FileHotList(tmp_path / "hot")
    mine, theirs = Hot("mine", "/search", b"{}"), Hot("theirs", "/search", b"{}")
    await hot.add([(mine, 1), *[(structs.replace(theirs, body=b"%d" % number), 9) for number in range(50)]])
    warming, _ = warmer(tmp_path, hot, most=10)
    assert await warming.hottest("mine") == [mine]
    assert {request.tenant for request in await warming.hottest("theirs")} == {"theirs"}
    assert len(await warming.hottest("theirs")) == len(await warming.hottest()) == 10
