"""The memory tier against a plain model, and its hits against the best that any tier could have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.caches.base import Cached
from service.caches.memory import ENTRY_BYTES, LARGEST_SHARE, MOST_SPARED, MemoryTier

KEYS = st.sampled_from([f"key{number}" for number in range(12)])
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.integers(0, 700)),
    st.tuples(st.just("get"), KEYS, st.just(0)),
    st.tuples(st.just("remove"), KEYS, st.just(0)),
    st.tuples(st.just("clear"), st.just(""), st.just(0)),
)


def value_of(size: int, stored: float = 0.0) -> Cached:
    return Cached(value=bytes(size), stored=stored, ttl_seconds=1)


def size_of(key: str, cached: Cached) -> int:
    return len(key) + len(cached.value) + ENTRY_BYTES


@given(st.lists(STEPS, max_size=300), st.integers(1, 10))
def test_it_returns_what_was_put_last_and_never_exceeds_its_bound(
    steps: list[tuple[str, str, int]], entries: int
) -> None:
    tier = MemoryTier(max(entries * (ENTRY_BYTES + 400), LARGEST_SHARE * (ENTRY_BYTES + 300)))
    put: dict[str, Cached] = {}
    for number, (step, key, size) in enumerate(steps):
        if step == "put":
            put[key] = value_of(size, stored=number)
            tier.put(key, put[key])
        elif step == "remove":
            put.pop(key, None)
            tier.remove(key)
        elif step == "clear":
            put.clear()
            tier.clear()
        found = tier.get(key)
        assert found is None or found is put[key]
        items = dict(tier.items())
        assert items.items() <= put.items()
        assert tier.entries == len(items)
        assert tier._asked <= items.keys()
        assert tier.bytes == sum(size_of(key, cached) for key, cached in items.items()) <= tier._max_bytes


@given(st.lists(st.tuples(KEYS, st.integers(0, 200)), max_size=100))
def test_nothing_is_evicted_while_there_is_room(puts: list[tuple[str, int]]) -> None:
    tier = MemoryTier(1 << 20)
    kept = {}
    for key, size in puts:
        kept[key] = value_of(size)
        tier.put(key, kept[key])
    assert dict(tier.items()) == kept
    assert tier.evictions == 0


def test_what_was_asked_for_outlives_what_was_not() -> None:
    tier = MemoryTier(LARGEST_SHARE * (ENTRY_BYTES + 10))
    for number in range(LARGEST_SHARE):
        tier.put(f"{number:04}", value_of(6))
    tier.get("0000")
    for number in range(LARGEST_SHARE, 2 * LARGEST_SHARE):
        tier.put(f"{number:04}", value_of(6))
    assert tier.get("0000")
    assert not tier.get("0001")
    assert tier.evictions == LARGEST_SHARE


def test_a_new_entry_takes_the_place_of_an_old_one_where_all_were_asked_for() -> None:
    tier = MemoryTier(LARGEST_SHARE * (ENTRY_BYTES + 10))
    for number in range(LARGEST_SHARE):
        tier.put(f"{number:04}", value_of(6))
        tier.get(f"{number:04}")
    tier.put("new", value_of(6))
    assert tier.get("new")
    assert tier.entries == LARGEST_SHARE


def test_one_put_passes_over_a_bounded_number_of_entries() -> None:
    tier = MemoryTier(2 * MOST_SPARED * (ENTRY_BYTES + 10))
    for number in range(2 * MOST_SPARED):
        tier.put(f"{number:04}", value_of(6))
        tier.get(f"{number:04}")
    tier.put("new", value_of(6))
    assert {f"{number:04}" for number in range(2 * MOST_SPARED)} - dict(tier.items()).keys() == {f"{MOST_SPARED:04}"}


@pytest.mark.parametrize("before", [0, 1])
def test_an_entry_that_would_cost_too_many_others_is_not_kept_nor_what_it_replaces(before: int) -> None:
    tier = MemoryTier(100_000)
    for _ in range(before):
        tier.put("large", value_of(10))
    tier.put("other", value_of(10))
    tier.put("large", value_of(100_000 // LARGEST_SHARE))
    assert [key for key, _ in tier.items()] == ["other"]


def test_entries_may_be_removed_while_they_are_listed() -> None:
    tier = MemoryTier(1 << 20)
    for number in range(10):
        tier.put(str(number), value_of(1))
    for key, cached in tier.items():
        assert cached.value == b"\0"
        tier.remove(key)
    assert tier.entries == tier.bytes == 0


@pytest.mark.parametrize("is_shifted", [False, True], ids=["steady", "after a shift of popularity"])
def test_it_hits_nine_tenths_of_what_the_best_choice_of_entries_would(is_shifted: bool) -> None:  # noqa: FBT001  # a case
    universe, requests, share = 50_000, 300_000, 100
    generator = np.random.default_rng(7)
    chances = 1 / np.arange(1, universe + 1) ** 0.9
    chances /= chances.sum()
    asked = generator.choice(universe, size=2 * requests, p=chances)
    if is_shifted:  # the first half is asked for by other ranks
        asked[:requests] = generator.permutation(universe)[asked[:requests]]
    names = [f"{number:08}" for number in range(universe)]
    value = value_of(1000)
    tier = MemoryTier(universe // share * size_of(names[0], value))
    hits = 0
    for place, number in enumerate(asked.tolist()):
        if tier.get(names[number]):
            hits += place >= requests
        else:
            tier.put(names[number], value)
    assert hits / requests >= 0.9 * chances[: universe // share].sum()
