import asyncio
import random

import pytest

from service.resilience.places import Full, Late, Places

pytestmark = pytest.mark.anyio


async def test_those_who_wait_get_places_in_the_order_in_which_they_came() -> None:
    places, order = Places(1, 10), list[int]()

    async def come(number: int) -> None:
        await places.take(10)
        order.append(number)
        await asyncio.sleep(0)
        places.give()

    await asyncio.gather(*(come(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert places.taken == 0


async def test_a_long_line_is_turned_away_at_once() -> None:
    places = Places(1, 1)
    await places.take(10)
    waiting = asyncio.create_task(places.take(10))
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await places.take(10)
    places.give()
    await waiting


async def test_who_gets_no_place_in_time_is_turned_away_and_leaves_the_line() -> None:
    places = Places(1, 1)
    await places.take(10)
    with pytest.raises(Full):
        await places.take(0.01)
    places.give()
    assert places.taken == 0


async def test_who_stops_waiting_as_the_place_comes_passes_it_on() -> None:
    places = Places(1, 2)
    await places.take(10)
    leaving, staying = asyncio.create_task(places.take(10)), asyncio.create_task(places.take(10))
    await asyncio.sleep(0)
    places.give()
    leaving.cancel()
    await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving
    places.give()
    assert places.taken == 0


async def test_more_places_let_those_in_who_wait_and_fewer_are_reached_as_places_come_back() -> None:
    places = Places(1, 10)
    await places.take(10)
    waiting = [asyncio.create_task(places.take(10)) for _ in range(2)]
    await asyncio.sleep(0)
    places.resize(2)
    await waiting[0]
    assert not waiting[1].done()
    places.resize(1)
    places.give()
    await asyncio.sleep(0)
    assert (places.taken, waiting[1].done()) == (1, False)
    places.give()
    await waiting[1]
    assert places.taken == 1


async def test_who_is_late_is_told_apart_from_who_met_a_long_line() -> None:
    places = Places(1, 1)
    await places.take(10)
    with pytest.raises(Late):
        await places.take(0.01)


async def test_lines_take_turns_and_one_of_them_is_not_the_room_of_all() -> None:
    places, order = Places(1, 10, 3), list[str]()
    await places.take(10)

    async def come(kind: str) -> None:
        await places.take(10, kind)
        order.append(kind)
        places.give()

    busy = [asyncio.create_task(come("busy")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await places.take(10, "busy")
    quiet = asyncio.create_task(come("quiet"))
    await asyncio.sleep(0)
    places.give()
    await asyncio.gather(quiet, *busy)
    assert order == ["busy", "quiet", "busy", "busy"]
    assert places.taken == 0


async def test_whatever_becomes_of_those_who_wait_no_place_is_lost() -> None:
    places, source = Places(3, 50, 20), random.Random(1)

    async def come(number: int) -> None:
        await places.take(source.choice([0.001, 0.01, 10]), f"line {number % 4}")
        try:
            await asyncio.sleep(source.random() / 500)
        finally:
            places.give()

    for _ in range(20):
        tasks = [asyncio.create_task(come(number)) for number in range(40)]
        for task in source.sample(tasks, 10):
            await asyncio.sleep(source.random() / 1000)
            task.cancel()
            places.resize(source.randint(1, 6))
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert places.taken == 0
