"""A breaker, by a clock that the tests turn."""

import pytest

from service.resilience.breakers import FAILURES_IN_A_ROW, PROBE_SECONDS, Breaker
from tests.unit.resilience.clock import Clock


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("The thing", clock)


def fail(breaker: Breaker, times: int = FAILURES_IN_A_ROW) -> None:
    for _ in range(times):
        breaker.failed("it is slow")


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert not breaker.is_open
    fail(breaker, 1)
    assert breaker.is_open


def test_a_success_between_failures_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(10):
        fail(breaker, FAILURES_IN_A_ROW - 1)
        breaker.succeeded()
    assert not breaker.is_open
    assert breaker.failures == 10 * (FAILURES_IN_A_ROW - 1)


def test_a_probe_is_due_a_second_after_it_opened_and_after_each_that_failed(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    assert breaker.seconds_to_probe() == PROBE_SECONDS
    clock.now += 0.4
    assert breaker.seconds_to_probe() == pytest.approx(0.6)
    clock.now += 5
    assert breaker.seconds_to_probe() == 0
    breaker.probed(is_well=False)
    assert breaker.is_open
    assert breaker.seconds_to_probe() == PROBE_SECONDS


def test_only_a_good_probe_closes_it(breaker: Breaker) -> None:
    fail(breaker)
    breaker.succeeded()  # a call that was under way when it opened
    assert breaker.is_open
    breaker.probed(is_well=True)
    assert not breaker.is_open


def test_it_begins_to_count_anew_when_it_closes(breaker: Breaker) -> None:
    fail(breaker)
    fail(breaker, 50)  # calls that were under way
    breaker.probed(is_well=True)
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert not breaker.is_open


def test_it_knows_since_when_and_how_often(breaker: Breaker, clock: Clock) -> None:
    clock.now += 5
    fail(breaker)
    assert (breaker.since, breaker.openings) == (105, 1)
    clock.now += 2
    breaker.probed(is_well=True)
    assert (breaker.since, breaker.openings) == (107, 1)


def test_one_line_of_the_log_tells_that_it_opened_and_one_that_it_closed(
    breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    fail(breaker, 20)
    breaker.trip("again")
    breaker.probed(is_well=False)
    clock.now += 7
    breaker.probed(is_well=True)
    breaker.probed(is_well=True)
    assert [record.getMessage() for record in caplog.records] == [
        "The thing is left alone, tried again every 1 s: it is slow",
        "The thing is used again, after 7.0 s",
    ]
