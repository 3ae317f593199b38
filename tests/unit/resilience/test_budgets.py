"""A budget, by a clock that the tests turn."""

import asyncio

import pytest

from service.resilience.budgets import REDIS_BUDGET, Budget, budgeted
from tests.unit.resilience.clock import Clock


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(10, clock)


def test_calls_one_after_the_other_share_a_budget(budget: Budget, clock: Clock) -> None:
    with budget.spend() as first:
        clock.now += 4
    clock.now += 100  # what the request does otherwise
    with budget.spend() as second:
        clock.now += 5
    assert (first, second) == (10, 6)
    assert budget.remaining == 1


def test_what_is_waited_for_at_the_same_time_counts_once(budget: Budget, clock: Clock) -> None:
    with budget.spend():
        clock.now += 1
        with budget.spend() as inner:
            clock.now += 2
        assert inner == 9
        clock.now += 3
    assert budget.remaining == 4


def test_a_budget_shrinks_while_it_is_spent(budget: Budget, clock: Clock) -> None:
    with budget.spend():
        clock.now += 7
        assert budget.remaining == 3


def test_nothing_is_left_of_a_budget_that_was_overdrawn(budget: Budget, clock: Clock) -> None:
    with budget.spend():
        clock.now += 11
    assert budget.remaining == 0
    with budget.spend() as allowed:
        assert allowed == 0


def test_what_fails_has_spent_its_time_too(budget: Budget, clock: Clock) -> None:
    def fail() -> None:
        with budget.spend():
            clock.now += 6
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert budget.remaining == 4


@pytest.mark.anyio
async def test_the_tasks_of_a_request_have_its_budget_and_others_have_none(budget: Budget) -> None:
    async def found() -> Budget | None:
        return REDIS_BUDGET.get()

    with budgeted(budget):
        inside = asyncio.create_task(found())
    assert await inside is budget
    assert await asyncio.create_task(found()) is None
