"""The one mechanism: what is served, what is computed, what is kept."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import cast

import pytest
from msgspec import structs

from service.caches.base import Demands, Kind, key_prefix
from service.caches.cache import Cache, Computed, Found, Terms
from service.caches.deletions import Deletions, Scope
from service.caches.memory import MemoryTier
from service.caches.shared import SharedTier
from service.errors import NotCached
from tests.unit.caches.fakes import DictTier

pytestmark = pytest.mark.anyio

TERMS = Terms(tenant="t", collection="things", version="v1", ttl_seconds=100)
KEY = key_prefix("result", "t", "things") + "1"


class Computing:
    """Counts its calls; computes a value that tells which call it was."""

    def __init__(self, ttl_seconds: float | None = None, pause: float = 0) -> None:
        self.calls: list[list[int]] = []
        self._ttl_seconds = ttl_seconds
        self._pause = pause

    async def __call__(self, places: list[int]) -> Sequence[Computed]:
        self.calls.append(places)
        number = len(self.calls)
        await asyncio.sleep(self._pause)
        return [Computed(b"%d of call %d" % (place, number), self._ttl_seconds) for place in places]


def cache_of(
    shared: DictTier | None = None,
    deletions: Deletions | None = None,
    *,
    kind: Kind = "result",
    trust_seconds: float = 5,
) -> Cache:
    tier = cast("SharedTier | None", shared)
    return Cache(kind, MemoryTier(1_000_000), tier, deletions or Deletions(None, None), trust_seconds=trust_seconds)


async def value_of(cache: Cache, terms: Terms, compute: Computing, key: str = KEY) -> Found:
    (found,) = await cache.get_or_compute([key], terms, compute)
    return found


async def test_the_second_time_it_comes_from_memory() -> None:
    cache, compute = cache_of(), Computing()
    first = await value_of(cache, TERMS, compute)
    second = await value_of(cache, TERMS, compute)
    assert (first.tier, second.tier, len(compute.calls)) == (None, "memory", 1)
    assert first.cached.value == second.cached.value
    assert (cache.counts["memory", "hit"], cache.counts["memory", "miss"]) == (1, 1)


async def test_another_process_finds_it_in_redis_and_keeps_it_in_memory() -> None:
    shared, compute = DictTier(), Computing()
    first = cache_of(shared)
    await value_of(first, TERMS, compute)
    await first.close()
    other = cache_of(shared)
    assert [(await value_of(other, TERMS, compute)).tier for _ in range(2)] == ["redis", "memory"]
    assert len(compute.calls) == 1


@pytest.mark.parametrize("through_redis", [False, True])
async def test_a_value_of_another_version_is_a_miss(through_redis: bool) -> None:  # noqa: FBT001  # a case
    shared, compute = DictTier(), Computing()
    cache = cache_of(shared)
    await value_of(cache, TERMS, compute)
    await cache.close()
    reader = cache_of(shared) if through_redis else cache
    assert (await value_of(reader, structs.replace(TERMS, version="v2"), compute)).tier is None
    assert len(compute.calls) == 2


async def test_an_expired_value_is_a_miss() -> None:
    cache, compute = cache_of(), Computing()
    await value_of(cache, structs.replace(TERMS, ttl_seconds=1e-9), compute)
    assert (await value_of(cache, TERMS, compute)).tier is None


async def test_times_to_live_are_spread_over_a_tenth() -> None:
    cache, compute = cache_of(), Computing()
    lives = [(await value_of(cache, TERMS, compute, f"{KEY}{n}")).cached.ttl_seconds for n in range(200)]
    assert all(90 <= life <= 100 for life in lives)
    assert max(lives) - min(lives) > 8


async def test_a_value_that_is_not_to_be_kept_is_computed_each_time() -> None:
    shared, compute = DictTier(), Computing(ttl_seconds=0)
    cache = cache_of(shared)
    for _ in range(2):
        assert not (await value_of(cache, TERMS, compute)).is_kept
    await cache.close()
    assert (len(compute.calls), cache.memory.entries, shared.values) == (2, 0, {})


async def test_a_caller_may_ask_for_a_new_one_which_is_kept() -> None:
    cache, compute = cache_of(), Computing()
    await value_of(cache, TERMS, compute)
    await value_of(cache, structs.replace(TERMS, demands=Demands(reads=False)), compute)
    assert (await value_of(cache, TERMS, compute)).cached.value == b"0 of call 2"
    assert cache.counts["memory", "bypass"] == 1


async def test_a_caller_may_ask_that_nothing_is_kept() -> None:
    shared, compute = DictTier(), Computing()
    cache = cache_of(shared)
    await value_of(cache, structs.replace(TERMS, demands=Demands(reads=False, stores=False)), compute)
    await cache.close()
    assert (cache.memory.entries, shared.values) == (0, {})


async def test_a_caller_may_ask_for_nothing_that_is_not_cached() -> None:
    cache, compute = cache_of(), Computing()
    wanted = structs.replace(TERMS, demands=Demands(only_cached=True))
    with pytest.raises(NotCached):
        await value_of(cache, wanted, compute)
    await value_of(cache, TERMS, compute)
    assert (await value_of(cache, wanted, compute)).tier == "memory"


async def test_a_caller_may_name_the_greatest_age() -> None:
    cache, compute = cache_of(), Computing()
    await value_of(cache, TERMS, compute)
    cached = cache.memory.get(KEY)
    assert cached
    cache.memory.put(KEY, structs.replace(cached, stored=time.time() - 10))
    young = structs.replace(TERMS, demands=Demands(max_age_seconds=5))
    assert (await value_of(cache, structs.replace(TERMS, demands=Demands(max_age_seconds=20)), compute)).tier
    assert (await value_of(cache, young, compute)).tier is None


async def test_without_a_confirmed_version_memory_serves_for_the_stated_time_only() -> None:
    unconfirmed = structs.replace(TERMS, is_confirmed=False)
    compute = Computing()
    trusting, distrusting = cache_of(trust_seconds=60), cache_of(trust_seconds=0)
    for cache in (trusting, distrusting):
        await value_of(cache, TERMS, compute)
    assert (await value_of(trusting, unconfirmed, compute)).tier == "memory"
    assert (await value_of(distrusting, unconfirmed, compute)).tier is None


async def test_without_a_confirmed_version_redis_is_left_out() -> None:
    unconfirmed = structs.replace(TERMS, is_confirmed=False)
    shared, compute = DictTier(), Computing()
    first = cache_of(shared)
    await value_of(first, TERMS, compute)
    await first.close()
    other = cache_of(shared)
    assert (await value_of(other, unconfirmed, compute)).tier is None
    await other.close()
    assert shared.values[KEY].value == b"0 of call 1"
    assert (await value_of(other, unconfirmed, compute)).tier == "memory"
    assert other.unconfirmed == 1


async def test_a_hundred_identical_misses_are_one_computation() -> None:
    cache, compute = cache_of(DictTier()), Computing(pause=0.01)
    found = await asyncio.gather(*(value_of(cache, TERMS, compute) for _ in range(100)))
    assert len(compute.calls) == 1
    assert {one.cached.value for one in found} == {b"0 of call 1"}
    assert sum(one.is_collapsed for one in found) == 99


async def test_a_miss_of_the_new_version_does_not_wait_for_one_of_the_old() -> None:
    cache, compute = cache_of(), Computing(pause=0.01)
    new = structs.replace(TERMS, version="v2")
    old_value, new_value = await asyncio.gather(value_of(cache, TERMS, compute), value_of(cache, new, compute))
    assert old_value.cached.value != new_value.cached.value


async def test_a_caller_who_knows_a_newer_version_joins_no_computation_that_began_before() -> None:
    cache, compute = cache_of(), Computing(pause=0.01)
    anew = structs.replace(TERMS, demands=Demands(reads=False))
    newer = structs.replace(TERMS, demands=Demands(reads=False, minimum_version="v2"))
    one, other = await asyncio.gather(value_of(cache, anew, compute), value_of(cache, newer, compute))
    assert one.cached.value != other.cached.value


async def test_a_batch_computes_what_is_missing_in_one_call() -> None:
    cache, compute = cache_of(), Computing()
    await value_of(cache, TERMS, compute, "b")
    found = await cache.get_or_compute(["a", "b", "c", "a"], TERMS, compute)
    assert [one.tier for one in found] == [None, "memory", None, None]
    assert sorted(compute.calls[1]) == [2, 3]
    assert found[0].cached.value == found[3].cached.value


async def test_redis_in_trouble_is_a_miss() -> None:
    shared, compute = DictTier(), Computing()
    shared.is_down = True
    cache = cache_of(shared)
    assert (await value_of(cache, TERMS, compute)).cached.value == b"0 of call 1"
    assert (await value_of(cache, TERMS, compute)).tier == "memory"
    assert cache.counts["redis", "error"] == 1


@pytest.mark.parametrize(
    ("scope", "is_covered"),
    [
        (Scope(), True),
        (Scope(kind="result"), True),
        (Scope(collection="things"), True),
        (Scope(kind="result", collection="things"), True),
        (Scope(owner="ann"), True),
        (Scope(kind="embedding"), False),
        (Scope(collection="others"), False),
        (Scope(owner="bob"), False),
    ],
)
async def test_a_deletion_covers_what_it_names_in_both_tiers(scope: Scope, is_covered: bool) -> None:  # noqa: FBT001
    shared, deletions, compute = DictTier(), Deletions(None, None), Computing()
    cache = cache_of(shared, deletions)
    terms = structs.replace(TERMS, demands=Demands(owner="ann"))
    await value_of(cache, terms, compute)
    await cache.close()
    assert await cache.covered("t", scope) == ({KEY} if is_covered else set())
    await deletions.delete("t", scope)
    assert (cache.peek(KEY, TERMS) is None) == is_covered
    assert (await value_of(cache_of(shared, deletions), TERMS, compute)).tier == (None if is_covered else "redis")


async def test_what_was_computed_before_a_deletion_and_kept_after_it_is_not_served() -> None:
    deletions = Deletions(None, None)
    cache, compute = cache_of(deletions=deletions), Computing(pause=0.01)
    slow = asyncio.create_task(value_of(cache, TERMS, compute))
    await asyncio.sleep(0)
    await deletions.delete("t", Scope(kind="result"))
    await slow
    assert (await value_of(cache, TERMS, compute)).tier is None


async def test_another_tenants_deletion_covers_nothing() -> None:
    deletions, compute = Deletions(None, None), Computing()
    cache = cache_of(deletions=deletions)
    await value_of(cache, TERMS, compute)
    await deletions.delete("other", Scope())
    assert (await value_of(cache, TERMS, compute)).tier == "memory"


@pytest.mark.slow
async def test_ten_thousand_cancellations_never_mix_up_values() -> None:
    generator = random.Random(4)
    shared = DictTier()
    cache = cache_of(shared)
    served, before = 0, len(asyncio.all_tasks())

    async def compute_for(keys: list[str], places: list[int]) -> list[Computed]:
        await asyncio.sleep(generator.random() * 0.002)
        return [Computed(keys[place].encode(), generator.choice([None, 0])) for place in places]

    async def ask() -> None:
        nonlocal served
        keys = [f"k{generator.randrange(40)}" for _ in range(generator.randrange(1, 4))]
        found = await cache.get_or_compute(keys, TERMS, lambda places: compute_for(keys, places))
        assert [one.cached.value for one in found] == [key.encode() for key in keys]
        served += 1

    for _ in range(100):
        tasks = [asyncio.create_task(ask()) for _ in range(150)]
        await asyncio.sleep(generator.random() * 0.002)
        for task in generator.sample(tasks, 100):
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
    await cache.close()
    assert served > 1000
    assert len(asyncio.all_tasks()) == before
