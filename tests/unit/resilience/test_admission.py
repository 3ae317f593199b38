import asyncio
from contextlib import suppress

import pytest

from service.errors import Overloaded
from service.resilience.admission import FEWEST, FIRST, MOST, MOST_OF_ONE, SAMPLES, Admission, Limit
from tests.unit.resilience.clock import Clock

pytestmark = pytest.mark.anyio


def observe(limit: Limit, seconds: float, running: int, looks: int = 1) -> None:
    for _ in range(SAMPLES * looks):
        limit.observe(seconds, running)


def test_computations_that_slow_each_other_down_lower_the_limit_and_not_below_the_fewest() -> None:
    limit = Limit()
    observe(limit, 0.005, running=1)
    before = limit.value
    observe(limit, 0.050, running=64)
    assert limit.value < before
    observe(limit, 0.050, running=64, looks=100)
    assert FEWEST <= limit.value < 2 * FEWEST


def test_computations_that_do_not_mind_each_other_raise_the_limit_to_the_most() -> None:
    limit = Limit()
    observe(limit, 0.005, running=1)
    observe(limit, 0.006, running=MOST, looks=200)
    assert limit.value == MOST


def test_a_limit_that_nothing_reaches_stays() -> None:
    limit = Limit()
    observe(limit, 0.005, running=1, looks=20)
    assert limit.value == FIRST


def test_a_long_overload_does_not_become_the_norm() -> None:
    limit = Limit()
    observe(limit, 0.005, running=1)
    observe(limit, 0.100, running=64, looks=500)
    assert limit.value < 2 * FEWEST


def test_searches_that_became_slower_by_themselves_are_learnt_when_it_is_quiet() -> None:
    limit = Limit()
    observe(limit, 0.005, running=1)
    observe(limit, 0.100, running=64, looks=50)
    observe(limit, 0.100, running=2, looks=20)
    lowest = limit.value
    observe(limit, 0.100, running=64, looks=50)
    assert limit.value > 2 * lowest


async def hold(admission: Admission, release: asyncio.Event) -> None:
    async with admission.turn("tenant"):
        await release.wait()


async def test_what_is_beyond_the_limit_waits_and_then_is_computed() -> None:
    admission, release, done = Admission(wait_seconds=10), asyncio.Event(), list[int]()
    holding = [asyncio.create_task(hold(admission, release)) for _ in range(FIRST)]
    await asyncio.sleep(0)

    async def compute() -> None:
        async with admission.turn("tenant"):
            done.append(1)

    waiting = asyncio.create_task(compute())
    await asyncio.sleep(0.01)
    assert not done
    release.set()
    await asyncio.gather(*holding, waiting)
    assert (done, admission.shed.total()) == ([1], 0)


async def test_who_gets_no_turn_in_time_is_refused_and_counted() -> None:
    admission, release = Admission(wait_seconds=0.01), asyncio.Event()
    holding = [asyncio.create_task(hold(admission, release)) for _ in range(FIRST)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="Try again"):
        async with admission.turn("tenant"):
            pass
    assert admission.shed == {"queue_timeout": 1, "queue_full": 0}
    release.set()
    await asyncio.gather(*holding)


async def test_who_would_stand_in_a_long_line_is_refused_at_once() -> None:
    admission, release = Admission(wait_seconds=10), asyncio.Event()
    everybody = [asyncio.create_task(hold(admission, release)) for _ in range(600)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert admission.shed["queue_full"] > 0
    release.set()
    refused = [error for error in await asyncio.gather(*everybody, return_exceptions=True) if error]
    assert len(refused) == admission.shed["queue_full"]
    assert all(isinstance(error, Overloaded) for error in refused)


async def test_a_computation_that_fails_gives_its_turn_back_and_teaches_nothing() -> None:
    admission = Admission(Clock())
    for _ in range(2 * FIRST):
        with pytest.raises(ValueError, match="wrong"):
            async with admission.turn("tenant"):
                raise ValueError("wrong")
    assert (admission.limit, admission.shed.total()) == (FIRST, 0)
    async with admission.turn("tenant"):
        pass


async def test_a_tenant_who_asks_without_end_does_not_keep_another_waiting() -> None:
    admission, done = Admission(wait_seconds=10), list[str]()

    async def compute(tenant: str) -> None:
        async with admission.turn(tenant):
            await asyncio.sleep(0)
            done.append(tenant)

    busy = [asyncio.create_task(compute("busy")) for _ in range(FIRST + MOST_OF_ONE)]
    await asyncio.sleep(0)
    quiet = asyncio.create_task(compute("quiet"))
    await asyncio.gather(quiet, *busy)
    assert done.index("quiet") <= 2 * FIRST + 2


async def known() -> tuple[Admission, Clock]:
    """Return an admission that knows what a search takes while it is quiet: 5 ms by the clock."""
    clock = Clock()
    admission = Admission(clock)
    for _ in range(SAMPLES):
        async with admission.turn("tenant"):
            clock.now += 0.005
    return admission, clock


async def broken_off(admission: Admission, clock: Clock, seconds: float) -> None:
    with suppress(asyncio.CancelledError):
        async with admission.turn("tenant"):
            clock.now += seconds
            raise asyncio.CancelledError


async def test_searches_that_end_at_their_deadline_lower_the_limit() -> None:
    admission, clock = await known()
    for _ in range(2 * SAMPLES):
        await broken_off(admission, clock, 10)
    assert admission.limit < FIRST


async def test_callers_who_leave_early_teach_nothing() -> None:
    admission, clock = await known()
    for _ in range(10 * SAMPLES):
        await broken_off(admission, clock, 0.001)
    assert admission.limit == FIRST
