from service.resilience.hedging import BURST, FIRST_SECONDS, RENEWAL, SHORTEST_SECONDS, WINDOW, Hedging


def test_a_call_is_late_after_the_95th_percentile_of_recent_ones() -> None:
    hedging = Hedging()
    for number in range(WINDOW):
        hedging.observe(0.5 if number % 10 == 0 else 0.01)
    assert hedging.late_seconds == 0.5
    for number in range(WINDOW):
        hedging.observe(0.5 if number % 50 == 0 else 0.01)
    assert hedging.late_seconds == 0.01


def test_until_enough_is_known_a_call_is_late_after_a_moment() -> None:
    hedging = Hedging()
    for _ in range(RENEWAL - 1):
        hedging.observe(9)
    assert hedging.late_seconds == FIRST_SECONDS
    hedging.observe(9)
    assert hedging.late_seconds == 9


def test_no_call_is_late_before_a_timer_can_tell() -> None:
    hedging = Hedging()
    for _ in range(RENEWAL):
        hedging.observe(0.0001)
    assert hedging.late_seconds == SHORTEST_SECONDS


def test_under_load_it_takes_longer_until_one_is_silent() -> None:
    hedging = Hedging()
    before = hedging.silent_seconds
    for _ in range(RENEWAL):
        hedging.observe(0.5)
    assert hedging.silent_seconds > before


def test_a_twentieth_of_calls_may_be_tried_twice() -> None:
    hedging = Hedging()
    while hedging.spend():
        pass
    assert hedging.sent == BURST
    for _ in range(1001):
        hedging.earn()
        hedging.spend()
    assert hedging.sent == BURST + 50


def test_quiet_times_allow_no_more_than_a_burst() -> None:
    hedging = Hedging()
    for _ in range(10_000):
        hedging.earn()
    assert sum(hedging.spend() for _ in range(100)) == BURST
