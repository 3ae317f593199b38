import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from service.ingest.ending import LAST_SECONDS, Ending
from service.ingest.streams import Line, lines_of
from tests.unit.resilience.clock import Clock

pytestmark = pytest.mark.anyio


async def pieces(*given: bytes, then: asyncio.Event | None = None) -> AsyncGenerator[bytes]:
    for piece in given:
        yield piece
    if then:
        await then.wait()


async def lines(number: int) -> AsyncIterator[Line]:
    for place in range(1, number + 1):
        yield Line(number=place, data=b"{}")


async def read(ending: Ending, stream: AsyncGenerator[bytes]) -> list[bytes]:
    return [line.data async for line in ending.lines(lines_of(ending.pieces(stream), 1000))]


async def test_a_body_passes_whole_while_the_service_goes_on() -> None:
    ending = Ending(asyncio.Event())
    assert await read(ending, pieces(b"one\ntw", b"o\nthree")) == [b"one", b"two", b"three"]
    assert not ending.has_cut


async def test_a_stop_ends_the_wait_for_more_and_drops_half_a_line() -> None:
    stopping = asyncio.Event()
    ending = Ending(stopping)
    reading = asyncio.create_task(read(ending, pieces(b"one\ntwo\nthr", then=asyncio.Event())))
    await asyncio.sleep(0.01)
    stopping.set()
    assert await reading == [b"one", b"two"]
    assert ending.has_cut


@pytest.mark.parametrize("body", [(b"one\ntwo\n",), (b"one\n", b"tw", b"o\n")])
async def test_a_short_import_is_done_whole_though_the_service_stops(body: tuple[bytes, ...]) -> None:
    stopping = asyncio.Event()
    stopping.set()
    ending = Ending(stopping)
    assert await read(ending, pieces(*body)) == [b"one", b"two"]
    assert not ending.has_cut


async def test_a_long_one_is_cut_when_its_last_seconds_are_over() -> None:
    stopping, clock = asyncio.Event(), Clock()
    ending = Ending(stopping, clock)
    taken = 0
    async for _ in ending.lines(lines(1000)):
        taken += 1
        clock.now += LAST_SECONDS / 10
        if taken == 100:
            stopping.set()
    assert (taken, ending.has_cut) == (110, True)


async def test_a_body_that_breaks_off_is_still_an_error() -> None:
    async def broken() -> AsyncGenerator[bytes]:
        yield b"one\n"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await read(Ending(asyncio.Event()), broken())
