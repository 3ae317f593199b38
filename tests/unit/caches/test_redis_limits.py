"""The time of one call, on a loop whose time passes when it waits, to the millisecond as the real ones."""

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from service.caches.redis.limits import Limit

BUDGET_SECONDS: Final = 0.05
SLOW_SECONDS: Final = 0.025
ROUNDING_SECONDS: Final = 1e-6


class Waiting(selectors.SelectSelector):
    """Passes the time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("nobody would ever wake")
        self.now += math.ceil(timeout * 1000 - ROUNDING_SECONDS) / 1000
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop of such time."""

    def __init__(self) -> None:
        self.waiting = Waiting()
        super().__init__(self.waiting)

    def time(self) -> float:
        return self.waiting.now

    def block(self, seconds: float) -> None:
        """Let time pass in which nothing is called."""
        self.waiting.now += seconds


def run(test: Callable[[Loop], Awaitable[None]]) -> None:
    loop = Loop()

    async def start() -> None:
        await test(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(start())


class Slowness:
    """Counts how often a call was called slow."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.mark.parametrize("seconds", [0.0005, 0.004, 0.01, 0.026, 0.028, 0.03, BUDGET_SECONDS, 1.0])
def test_who_waits_is_told_before_the_time_is_over(seconds: float) -> None:
    async def test(loop: Loop) -> None:
        began = loop.time()
        limit = Limit(seconds, SLOW_SECONDS, Slowness())
        with pytest.raises(TimeoutError):
            await limit.wait(loop.create_future())
        assert seconds / 2 < loop.time() - began <= max(seconds, 0.002) + ROUNDING_SECONDS

    run(test)


def test_a_call_is_called_slow_once_and_then_has_the_rest_of_its_time() -> None:
    async def test(loop: Loop) -> None:
        slowness, future = Slowness(), loop.create_future()
        limit = Limit(BUDGET_SECONDS, SLOW_SECONDS, slowness)
        loop.call_later(0.04, future.set_result, "late")
        assert await limit.wait(future) == "late"
        assert limit.was_slow
        assert slowness.times == 1

    run(test)


@pytest.mark.parametrize("early_ms", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5])
def test_the_second_wait_ends_too_when_the_first_was_done_as_the_time_was_over(early_ms: float) -> None:
    async def test(loop: Loop) -> None:
        link = loop.create_future()
        loop.call_later(BUDGET_SECONDS - early_ms / 1000, come, link)
        limit = Limit(BUDGET_SECONDS, SLOW_SECONDS, Slowness())
        with pytest.raises(TimeoutError):
            await ask(limit, link, loop.create_future())

    def come(link: asyncio.Future[str]) -> None:
        if not link.done():
            link.set_result("a link")

    async def ask(limit: Limit, link: asyncio.Future[str], reply: asyncio.Future[str]) -> None:
        await limit.wait(link)
        await limit.wait(reply)

    run(test)


def test_what_was_ended_for_a_reason_tells_it() -> None:
    async def test(loop: Loop) -> None:
        limit = Limit(BUDGET_SECONDS, SLOW_SECONDS, Slowness())
        loop.call_soon(limit.end, "the server is left alone")
        for _ in range(2):
            with pytest.raises(TimeoutError, match="the server is left alone"):
                await limit.wait(loop.create_future())

    run(test)


def test_a_busy_process_is_not_taken_for_a_slow_server() -> None:
    async def test(loop: Loop) -> None:
        slowness, future = Slowness(), loop.create_future()
        limit = Limit(BUDGET_SECONDS, SLOW_SECONDS, slowness)
        loop.call_soon(loop.block, 0.2)
        loop.call_later(0.203, future.set_result, "read after that")
        assert await limit.wait(future) == "read after that"
        assert slowness.times == 0
        limit.close()

    run(test)
