"""The judge of the coherence test sees what breaks the promise, and nothing else."""

import pytest

from tests.cluster.traces import Read, Trace, Write

HERE, THERE = (0, 1), (1, 1)
FIRST = Write(7, 1, 9.9, 10.0, HERE, "v1")
SECOND = Write(7, 2, 10.4, 10.5, HERE, "v2")


def read(began: float, number: int, *, by: tuple[int, int] | None = THERE, minimum: Write | None = None) -> Read:
    return Read(document=7, number=number, began=began, ended=began, process=by, tier="memory", minimum=minimum)


@pytest.mark.parametrize(
    ("one", "outages", "broken"),
    [
        (read(10.9, 0), [], []),
        (read(11.1, 0), [], ["elsewhere"]),
        (read(11.1, 1), [], []),
        (read(11.6, 1), [], ["elsewhere"]),
        (read(11.6, 2), [], []),
        (read(11.6, 0, by=None), [], ["elsewhere"]),
        (read(9.95, 0, by=HERE), [], []),
        (read(10.01, 0, by=HERE), [], ["own"]),
        (read(10.51, 1, by=HERE), [], ["own"]),
        (read(10.51, 1, by=(0, 2)), [], []),
        (read(10.01, 0, minimum=FIRST), [], ["minimum"]),
        (read(10.51, 1, minimum=FIRST), [], []),
        (read(10.51, 1, minimum=SECOND), [], ["minimum"]),
        (read(14.9, 0), [(10.2, 10.3)], []),
        (read(15.1, 0), [(10.2, 10.3)], ["elsewhere"]),
        (read(14.9, 0), [(3.0, 4.0)], ["elsewhere"]),
        (read(10.51, 1, by=HERE), [(10.2, 10.3)], ["own"]),
    ],
)
def test_an_answer_is_judged_by_what_was_acknowledged_before_it_was_asked_for(
    one: Read, outages: list[tuple[float, float]], broken: list[str]
) -> None:
    trace = Trace(writes=[FIRST, SECOND], reads=[one], outages=outages)
    assert [violation.broken for violation in trace.violations()] == broken


def test_the_best_possible_is_one_cache_that_every_write_empties() -> None:
    reads = [read(began, 2) for began in (9.0, 9.1, 10.1, 10.2, 10.3, 10.6)]
    assert Trace(writes=[FIRST, SECOND], reads=reads).hit_rates() == (1.0, 0.5)
