"""The policy of calls to several nodes, with nodes that are told what to do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
import pytest

from service.errors import StoreUnavailable
from service.resilience.breakers import FAILURES_IN_A_ROW
from service.stores.weaviate.attempts import LONGEST_WRITE_SECONDS
from service.stores.weaviate.node import MOST_MISSES
from service.stores.weaviate.nodes import MOST_WAITING, READS_AT_ONCE, Node, Nodes, Refused

pytestmark = pytest.mark.anyio

Answer = Callable[[], Awaitable[str]]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
UNKNOWN = grpc.StatusCode.UNKNOWN
NO_STUB: Any = None
"""No node of these is called through one."""


class Scripted:
    """Nodes called a, b, ... and the calls that they got."""

    def __init__(self, answers: Mapping[str, Answer], budget_seconds: float = 10, *, is_several: bool = False) -> None:
        self.asked: list[str] = []
        self._answers = answers
        self._nodes = [Node(name, NO_STUB, serving, is_several=is_several) for name in answers]
        self.nodes = Nodes(self._nodes, budget_seconds=budget_seconds)

    def node(self, name: str) -> Node:
        return next(node for node in self._nodes if node.address == name)

    async def call(self, node: Node, _: float) -> str:
        self.asked.append(node.address)
        return await self._answers[node.address]()

    async def read(self) -> str:
        return await self.nodes.read(self.call)

    async def write(self) -> str:
        return await self.nodes.write(self.call, 10)


async def serving(_: float) -> bool:
    return True


async def unwell(_: float) -> bool:
    return False


async def well() -> str:
    return "well"


async def silent() -> str:
    await asyncio.get_running_loop().create_future()
    return "never"


def failing(code: grpc.StatusCode, details: str = "because") -> Answer:
    async def fail() -> str:
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)

    return fail


def in_turn(answers: Sequence[Answer]) -> Answer:
    left = list(answers)

    async def answer() -> str:
        return await left.pop(0)()

    return answer


async def test_a_late_read_is_sent_to_another_node_as_well() -> None:
    scripted = Scripted({"a": silent, "b": well})
    assert await scripted.read() == "well"
    assert scripted.asked == ["a", "b"]
    assert scripted.nodes.hedges == (1, 1)


async def test_the_loser_is_cancelled() -> None:
    scripted = Scripted({"a": silent, "b": well})
    await scripted.read()
    await asyncio.sleep(0.01)
    assert scripted.nodes.in_flight == 0


async def test_a_late_read_of_which_the_first_node_answers_first_is_no_gain() -> None:
    async def late() -> str:
        await asyncio.sleep(0.07)
        return "late"

    scripted = Scripted({"a": late, "b": silent})
    assert await scripted.read() == "late"
    assert scripted.nodes.hedges == (1, 0)


@pytest.mark.parametrize("code", [UNAVAILABLE, UNKNOWN, grpc.StatusCode.INTERNAL])
async def test_a_read_that_fails_on_one_node_is_answered_by_another(code: grpc.StatusCode) -> None:
    scripted = Scripted({"a": failing(code), "b": well})
    assert await scripted.read() == "well"
    assert scripted.nodes.hedges == (0, 0)


async def test_what_two_nodes_refuse_is_refused_with_its_reason_and_is_no_failure_of_theirs() -> None:
    refusal = failing(UNKNOWN, "tenant not found")
    scripted = Scripted({"a": refusal, "b": refusal, "c": well})
    with pytest.raises(Refused, match="tenant not found") as caught:
        await scripted.read()
    assert caught.value.code is UNKNOWN
    assert len(scripted.asked) == 2
    assert not scripted.node("a").breaker.failures


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
async def test_a_read_that_is_wrong_is_not_tried_again(code: grpc.StatusCode) -> None:
    scripted = Scripted({"a": failing(code), "b": well})
    with pytest.raises(Refused):
        await scripted.read()
    assert scripted.asked == ["a"]


async def test_a_node_that_refuses_what_others_answer_is_left_alone() -> None:
    scripted = Scripted({"a": failing(UNKNOWN), "b": well})
    for _ in range(FAILURES_IN_A_ROW * 2):
        scripted.node("a").took(0.0)
        assert await scripted.read() == "well"
    assert scripted.node("a").breaker.failures


async def test_no_read_waits_for_a_node_that_is_left_alone() -> None:
    scripted = Scripted({"a": failing(UNAVAILABLE), "b": well})
    scripted.node("a").breaker.trip("for the test")
    assert await scripted.read() == "well"
    assert scripted.asked == ["b"]


async def test_where_all_nodes_are_left_alone_nothing_is_asked() -> None:
    scripted = Scripted({"a": well, "b": well})
    for name in "ab":
        scripted.node(name).breaker.trip("for the test")
    for ask in (scripted.read, scripted.write):
        with pytest.raises(StoreUnavailable):
            await ask()
    assert not scripted.asked


async def test_where_all_nodes_fail_the_reason_is_told() -> None:
    scripted = Scripted({"a": failing(UNAVAILABLE, "connection refused"), "b": failing(UNAVAILABLE, "reset by peer")})
    with pytest.raises(StoreUnavailable, match="b: UNAVAILABLE, reset by peer"):
        await scripted.read()
    assert scripted.asked == ["a", "b"]


async def test_failures_in_a_row_open_a_breaker_and_a_good_look_closes_it() -> None:
    scripted = Scripted({"a": failing(UNAVAILABLE)})
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(StoreUnavailable):
            await scripted.read()
    assert scripted.nodes.is_open
    await scripted.node("a").look(1)
    assert not scripted.nodes.is_open


async def test_a_read_ends_with_its_budget_and_counts_as_a_failure() -> None:
    scripted = Scripted({"a": silent}, budget_seconds=0.05)
    with pytest.raises(StoreUnavailable, match="did not answer in"):
        await scripted.read()
    assert scripted.node("a").breaker.failures == 1


async def test_without_second_tries_to_spare_a_read_leaves_a_silent_node_all_the_same() -> None:
    scripted = Scripted({"a": silent, "b": well}, budget_seconds=1)
    hedging = scripted.nodes._hedging[1]
    while hedging.spend():
        pass
    spent = hedging.sent
    assert await scripted.read() == "well"
    assert hedging.sent == spent
    assert scripted.node("a").breaker.failures == 1


async def test_calls_to_a_node_that_is_left_alone_go_elsewhere_at_once() -> None:
    scripted = Scripted({"a": silent, "b": well})
    write = asyncio.create_task(scripted.write())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert scripted.asked == ["a"]
    scripted.node("a").check = unwell
    for _ in range(MOST_MISSES):
        await scripted.node("a").look(1)
    assert await write == "well"


async def test_a_write_goes_to_another_node_where_one_is_not_reached() -> None:
    scripted = Scripted({"a": failing(UNAVAILABLE), "b": well})
    assert await scripted.write() == "well"


async def test_a_write_that_hangs_leaves_time_for_another_node() -> None:
    given: list[float] = []
    scripted = Scripted({"a": failing(grpc.StatusCode.DEADLINE_EXCEEDED), "b": well})

    async def call(node: Node, seconds: float) -> str:
        given.append(seconds)
        return await scripted.call(node, seconds)

    assert await scripted.nodes.write(call, 30) == "well"
    assert given[0] == LONGEST_WRITE_SECONDS
    assert given[1] == pytest.approx(30, abs=5)


async def test_a_write_that_is_refused_is_not_made_again() -> None:
    scripted = Scripted({"a": failing(UNKNOWN), "b": well})
    with pytest.raises(Refused):
        await scripted.write()
    assert scripted.asked == ["a"]


async def test_another_address_of_a_name_may_answer() -> None:
    answers = in_turn([failing(UNAVAILABLE), well])
    assert await Scripted({"a": answers}, is_several=True).read() == "well"
    with pytest.raises(StoreUnavailable):
        await Scripted({"a": in_turn([failing(UNAVAILABLE), well])}).read()


async def test_too_many_reads_are_turned_away() -> None:
    scripted = Scripted({"a": silent})
    reads = [asyncio.create_task(scripted.read()) for _ in range(READS_AT_ONCE * (1 + MOST_WAITING) + 3)]
    turned_away, waiting = await asyncio.wait(reads, timeout=0.1)
    assert len(scripted.asked) == READS_AT_ONCE
    assert [type(read.exception()) for read in turned_away] == [StoreUnavailable] * 3
    for read in waiting:
        read.cancel()
    await asyncio.wait(waiting)
    assert scripted.nodes.in_flight == 0


async def test_a_reader_who_leaves_ends_what_was_asked() -> None:
    scripted = Scripted({"a": silent, "b": silent})
    reading = asyncio.create_task(scripted.read())
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.sleep(0.01)
    assert scripted.nodes.in_flight == 0
    assert not scripted.node("a").breaker.failures


async def test_the_error_of_a_call_itself_is_raised_as_it_is() -> None:
    async def mistaken() -> str:
        raise ValueError("out of range")

    with pytest.raises(ValueError, match="out of range"):
        await Scripted({"a": mistaken, "b": well}).read()
