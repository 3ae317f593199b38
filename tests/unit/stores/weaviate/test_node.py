"""When a node is chosen, failed, and used again, by a clock that the tests turn."""

from typing import Any

import pytest

from service.resilience.breakers import FAILURES_IN_A_ROW
from service.stores.weaviate.node import FADING_SECONDS, LONG_AWAY_SECONDS, MOST_MISSES, REPAIR_SECONDS
from service.stores.weaviate.nodes import Node, Nodes
from tests.unit.resilience.clock import Clock

NO_STUB: Any = None


async def serving(_: float) -> bool:
    return True


async def unwell(_: float) -> bool:
    return False


def test_the_quicker_node_is_asked_and_a_slow_one_again_after_a_while() -> None:
    clock = Clock()
    slow, quick = (Node(name, NO_STUB, serving, clock=clock) for name in ("slow", "quick"))
    slow.took(0.05)
    quick.took(0.002)
    assert slow.burden() > quick.burden()
    clock.now += 5 * FADING_SECONDS
    quick.took(0.002)
    assert slow.burden() < quick.burden()


def test_only_a_node_that_stays_silent_fails_for_being_overtaken() -> None:
    clock = Clock()
    node: Any = Node("a", NO_STUB, serving, clock=clock)
    for _ in range(2):
        clock.now += 1
        node.overtaken(clock.now - 0.01, 0.1)
        node.answered()
    assert node.breaker.failures == 0
    for _ in range(FAILURES_IN_A_ROW):
        clock.now += 2
        node.overtaken(clock.now - 0.15, 0.1)
    assert node.breaker.is_open


@pytest.mark.anyio
async def test_single_missed_looks_leave_a_node_in_use() -> None:
    node = Node("a", NO_STUB, serving)
    for _ in range(MOST_MISSES * 2):
        node.check = unwell
        await node.look(1)
        node.check = serving
        await node.look(1)
    assert not node.breaker.is_open


async def away(node: Node, clock: Clock, seconds: float) -> None:
    node.breaker.trip("for the test")
    clock.now += seconds
    await node.look(1)


@pytest.mark.anyio
async def test_a_node_that_was_away_for_long_is_used_when_it_can_be_up_to_date() -> None:
    clock = Clock()
    nodes = [Node(name, NO_STUB, serving, clock=clock) for name in "ab"]
    asked = list[str]()

    async def call(node: Node, _: float) -> None:
        asked.append(node.address)

    await away(nodes[0], clock, LONG_AWAY_SECONDS)
    await Nodes(nodes, clock=clock).read(call)
    await Nodes(nodes, clock=clock).write(call, 1)
    clock.now += REPAIR_SECONDS
    await Nodes(nodes, clock=clock).read(call)
    assert asked == ["b", "b", "a"]


@pytest.mark.anyio
async def test_a_node_that_was_away_is_used_where_no_other_is_well() -> None:
    clock = Clock()
    nodes = [Node(name, NO_STUB, serving, clock=clock) for name in "ab"]
    await away(nodes[0], clock, LONG_AWAY_SECONDS)
    nodes[1].breaker.trip("for the test")

    async def call(node: Node, _: float) -> str:
        return node.address

    every = Nodes(nodes, clock=clock)
    assert not every.have_misled
    assert await every.read(call) == "a"
    assert every.have_misled
    clock.now += REPAIR_SECONDS
    assert await every.read(call) == "a"
    assert not every.have_misled


@pytest.mark.anyio
async def test_a_node_that_was_away_for_a_moment_is_used_at_once() -> None:
    clock = Clock()
    node = Node("a", NO_STUB, serving, clock=clock)
    await away(node, clock, LONG_AWAY_SECONDS / 2)
    assert not node.is_behind
