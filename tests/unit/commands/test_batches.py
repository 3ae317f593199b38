import threading
from functools import partial

import pytest

from service.commands import batches
from service.commands.batches import MOST_BYTES, MOST_ITEMS, Batch, Job, Outcome, cut, run_jobs
from service.commands.lines import Failure, Item


def item(line: int, data: bytes = b"{}") -> Item:
    return Item(line, data, line)


def done(number: int) -> Outcome:
    return Outcome({"received": 1}, [], number)


def test_many_short_lines_are_cut_by_number() -> None:
    sizes = [len(batch.items) for batch in cut(item(n) for n in range(2 * MOST_ITEMS + 1))]
    assert sizes == [MOST_ITEMS, MOST_ITEMS, 1]


def test_long_lines_are_cut_by_size_and_a_longer_one_goes_alone() -> None:
    lengths = [MOST_BYTES // 2, MOST_BYTES // 2, 1, 3 * MOST_BYTES, 1]
    found = list(cut(item(n, b"x" * length) for n, length in enumerate(lengths)))
    assert [[entry.line for entry in batch.items] for batch in found] == [[0, 1], [2], [3], [4]]


def test_lines_that_could_not_be_read_travel_with_their_neighbours() -> None:
    failure = Failure("x", 2, None, "broken")
    (batch,) = cut([item(1), failure, item(3)])
    assert (batch.items, batch.failures) == ([item(1), item(3)], [failure])


def test_nothing_is_cut_into_nothing() -> None:
    assert list(cut([])) == []


def test_lines_of_one_document_have_one_key() -> None:
    lines = [b'{"id": "a", "text": "x"}', b'{"id": "a", "text": "y", "more": [1]}', b'{"text": "z"}', b'{"text": "z"}']
    assert len(Batch([item(n, data) for n, data in enumerate(lines)], []).keys) == 2


@pytest.mark.parametrize("data", [b"no json", b'{"id": 7}', b"[]", b"\xff", b"[" * 5000])
def test_a_line_that_is_no_document_has_no_key(data: bytes) -> None:
    assert Batch([item(1, data)], []).keys == set()


def test_every_job_is_run_and_reported() -> None:
    outcomes = run_jobs(Job({str(n)}, partial(done, n)) for n in range(20))
    assert sorted(outcome.read for outcome in outcomes) == list(range(20))


class Gate:
    """Jobs that end only when told, and say what runs beside them."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.seen: list[list[str]] = []
        self._lock = threading.Lock()

    def run(self, name: str, together: threading.Barrier | None) -> Outcome:
        with self._lock:
            self.running.append(name)
            self.seen.append(sorted(self.running))
        if together:
            together.wait(timeout=10)
        with self._lock:
            self.running.remove(name)
        return done(0)


def test_the_first_job_goes_alone_and_then_two_are_in_flight() -> None:
    gate, both = Gate(), threading.Barrier(batches.IN_FLIGHT)
    jobs = [
        Job({"a"}, partial(gate.run, "a", None)),
        Job({"b"}, partial(gate.run, "b", both)),
        Job({"c"}, partial(gate.run, "c", both)),
    ]
    assert len(list(run_jobs(jobs))) == 3
    assert gate.seen[0] == ["a"]
    assert gate.seen[-1] == ["b", "c"]


def test_jobs_that_write_the_same_document_never_run_together() -> None:
    gate = Gate()
    list(run_jobs(Job({"same", str(n)}, partial(gate.run, str(n), None)) for n in range(50)))
    assert [seen[0] for seen in gate.seen] == [str(n) for n in range(50)]
    assert all(len(seen) == 1 for seen in gate.seen)


def test_an_error_of_a_job_ends_all() -> None:
    def fail() -> Outcome:
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        list(run_jobs([Job({"a"}, fail), Job({"b"}, partial(done, 1))]))
