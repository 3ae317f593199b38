"""One computation for many callers, whoever of them stays."""

import asyncio
import gc
import random
import weakref
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from service.resilience.flights import Flights

pytestmark = pytest.mark.anyio
REQUEST: ContextVar[str] = ContextVar("REQUEST", default="")


class Value:
    """Can be referred to weakly."""

    def __init__(self, key: str) -> None:
        self.key = key


class Computer:
    """Computes when `go` is set; notes what it was called for and what was cancelled."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.cancelled: list[list[str]] = []
        self.go = asyncio.Event()
        self.is_leaving = asyncio.Event()

    async def compute(self, keys: list[str]) -> Sequence[Value]:
        self.calls.append(keys)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(keys)
            self.is_leaving.set()
            for _ in range(3):  # tidies up, as whoever holds a connection does
                await asyncio.sleep(0)
            raise
        if "bad" in keys:
            raise LookupError("cannot compute this")
        return [Value(key) for key in keys]


@pytest.fixture
def flights() -> Flights[str, Value]:
    return Flights()


@pytest.fixture
def computer() -> Computer:
    return Computer()


@pytest.fixture(autouse=True)
async def complaints(flights: Flights[str, Value]) -> Any:
    """Fail where anything is left over, or was reported to the event loop."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    yield
    await settled()
    assert (flights._flying, flights._waiters) == ({}, {})
    gc.collect()
    assert not heard


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


def begin(flights: Flights[str, Value], computer: Computer, *keys: str) -> asyncio.Task[list[Value]]:
    return asyncio.create_task(flights.share(keys, computer.compute))


def names(values: Sequence[Value]) -> list[str]:
    return [value.key for value in values]


async def test_a_hundred_identical_calls_at_once_compute_once(flights: Flights[str, Value], computer: Computer) -> None:
    calls = [begin(flights, computer, "a") for _ in range(100)]
    await settled()
    assert flights.is_flying("a")
    computer.go.set()
    values = await asyncio.gather(*calls)
    assert len({id(value) for (value,) in values}) == 1
    assert computer.calls == [["a"]]
    assert flights.shared == 99
    assert not flights.is_flying("a")


async def test_overlapping_calls_compute_each_key_once_and_return_them_in_their_own_order(
    flights: Flights[str, Value], computer: Computer
) -> None:
    calls = [begin(flights, computer, *keys) for keys in ("ab", "bca", "cbdda", "")]
    await settled()
    assert computer.calls == [["a", "b"], ["c"], ["d"]]
    computer.go.set()
    assert [names(values) for values in await asyncio.gather(*calls)] == [
        ["a", "b"],
        ["b", "c", "a"],
        ["c", "b", "d", "d", "a"],
        [],
    ]


async def test_nothing_is_kept_for_later_calls(flights: Flights[str, Value], computer: Computer) -> None:
    computer.go.set()
    assert await flights.share(["a"], computer.compute) != await flights.share(["a"], computer.compute)
    assert flights.shared == 0


async def test_a_caller_that_is_cancelled_takes_nothing_away_from_the_others(
    flights: Flights[str, Value], computer: Computer
) -> None:
    leader, *followers = [begin(flights, computer, "a") for _ in range(3)]
    await settled()
    leader.cancel()
    await settled()
    computer.go.set()
    assert [names(await follower) for follower in followers] == [["a"], ["a"]]
    assert computer.calls == [["a"]]


async def test_a_computation_is_cancelled_once_nobody_waits_for_it(
    flights: Flights[str, Value], computer: Computer
) -> None:
    callers = [begin(flights, computer, "a", "b"), begin(flights, computer, "b")]
    await settled()
    callers[0].cancel()
    await settled()
    assert computer.cancelled == []
    callers[1].cancel()
    await settled()
    assert computer.cancelled == [["a", "b"]]
    assert all(caller.cancelled() for caller in callers)


async def test_who_comes_while_a_computation_is_being_cancelled_has_a_new_one(
    flights: Flights[str, Value], computer: Computer
) -> None:
    first = begin(flights, computer, "a")
    await settled()
    first.cancel()
    await computer.is_leaving.wait()
    second = begin(flights, computer, "a")
    await settled()
    computer.go.set()
    assert names(await second) == ["a"]
    assert computer.calls == [["a"], ["a"]]


async def test_an_error_reaches_everybody_who_waits_and_is_not_kept(
    flights: Flights[str, Value], computer: Computer
) -> None:
    calls = [begin(flights, computer, "bad"), begin(flights, computer, "bad", "good")]
    await settled()
    computer.go.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["cannot compute this"] * 2
    with pytest.raises(LookupError):
        await flights.share(["bad"], computer.compute)
    assert computer.calls == [["bad"], ["good"], ["bad"]]
    assert names(await flights.share(["good"], computer.compute)) == ["good"]


async def test_an_error_is_told_before_the_other_keys_are_there(
    flights: Flights[str, Value], computer: Computer
) -> None:
    slow = begin(flights, computer, "slow")
    await settled()
    other = Computer()
    other.go.set()
    with pytest.raises(LookupError):
        await flights.share(["slow", "bad"], other.compute)
    computer.go.set()
    assert names(await slow) == ["slow"]


async def test_an_error_that_nobody_waits_for_is_not_complained_about(
    flights: Flights[str, Value], computer: Computer
) -> None:
    caller = begin(flights, computer, "bad")
    await settled()
    computer.go.set()
    await asyncio.sleep(0)
    caller.cancel()


async def test_a_computation_that_returns_too_little_is_an_error(flights: Flights[str, Value]) -> None:
    async def compute(keys: list[str]) -> list[Value]:
        return [Value(key) for key in keys[1:]]

    with pytest.raises(ValueError, match="shorter"):
        await flights.share(["a", "b"], compute)


async def test_a_computation_sees_the_context_of_the_caller_that_began_it(flights: Flights[str, Value]) -> None:
    async def compute(keys: list[str]) -> list[Value]:
        seen = REQUEST.get()
        REQUEST.set("changed")
        return [Value(seen) for _ in keys]

    REQUEST.set("first")
    assert names(await flights.share(["a"], compute)) == ["first"]
    assert REQUEST.get() == "first"


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("key", ["good", "bad"])
async def test_nothing_keeps_a_value_or_an_error_alive(flights: Flights[str, Value], key: str) -> None:
    async def compute(keys: list[str]) -> list[Value]:
        if keys == ["bad"]:
            raise Failure
        return [Value(key) for key in keys]

    reference = await outcome_of(flights.share([key], compute))
    await settled()
    assert reference() is None


class Failure(Exception):
    """Can be referred to weakly."""


async def outcome_of(call: Coroutine[Any, Any, list[Value]]) -> weakref.ref[Any]:
    try:
        return weakref.ref((await call)[0])
    except Failure as error:
        return weakref.ref(error)


class Unsteady:
    """Computes in a few steps, and fails now and then."""

    def __init__(self, generator: random.Random) -> None:
        self.begun: Counter[str] = Counter()
        self._generator = generator

    async def compute(self, keys: list[str]) -> list[Value]:
        self.begun.update(keys)
        for _ in range(self._generator.randrange(6)):
            await asyncio.sleep(0)
        if self._generator.random() < 0.05:
            raise LookupError
        return [Value(key) for key in keys]


async def crowd(
    flights: Flights[str, Value], unsteady: Unsteady, generator: random.Random
) -> list[tuple[list[str], list[Value] | BaseException]]:
    """Make 200 calls at once and cancel most of them; returns what each asked for and got."""
    asked = [[str(generator.randrange(12)) for _ in range(generator.randint(1, 4))] for _ in range(200)]
    calls = [asyncio.create_task(flights.share(keys, unsteady.compute)) for keys in asked]
    for call in generator.sample(calls, 170):
        if generator.random() < 0.03:
            await asyncio.sleep(0)
        call.cancel()
    return [*zip(asked, await asyncio.gather(*calls, return_exceptions=True), strict=True)]


async def test_ten_thousand_cancellations_mix_up_nothing_and_leave_nothing(flights: Flights[str, Value]) -> None:
    generator = random.Random(11)
    unsteady = Unsteady(generator)
    before = asyncio.all_tasks()
    outcomes: Counter[type] = Counter()
    while outcomes[asyncio.CancelledError] < 10_000:
        for keys, outcome in await crowd(flights, unsteady, generator):
            outcomes[type(outcome)] += 1
            assert isinstance(outcome, BaseException) or names(outcome) == keys
    await settled()
    assert asyncio.all_tasks() == before
    assert outcomes.keys() == {asyncio.CancelledError, LookupError, list}
    assert flights.shared > sum(unsteady.begun.values())
