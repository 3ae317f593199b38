"""Which neighbours become one passage: pure arithmetic over token counts."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from math import ceil

from msgspec import Struct

from service.ingest.chunking.sections import Section


class Group(Struct, frozen=True, gc=False):
    """Neighbouring sections `first` to `last` (inclusive) that stand under one parent."""

    first: int
    last: int
    parent: int
    cost: int


def group_sections(tree: Sequence[Section], costs: Sequence[int], capacity: Callable[[int], int]) -> Iterator[Group]:
    """Fill passages with whole sections: the largest subtrees that fit, merged with their neighbours while they fit.

    `costs` are the tokens of each section without its subsections; `capacity(index)` are those that a passage may have
    which begins with that section. A group over its capacity is one section that must be split.
    """
    current: Group | None = None
    for item in _items(tree, costs, capacity):
        together = current.cost + item.cost if current else 0
        if current and current.parent == item.parent and together <= capacity(current.first):
            current = Group(current.first, item.last, item.parent, together)
            continue
        if current:
            yield current
        current = item
    if current:
        yield current


def _items(tree: Sequence[Section], costs: Sequence[int], capacity: Callable[[int], int]) -> Iterator[Group]:
    until = [0, *accumulate(costs)]
    index = 0
    while index < len(tree):
        section = tree[index]
        whole = until[section.after] - until[index]
        if section.is_empty and whole <= capacity(index):
            # Its heading stands before the next section's text; without one there is nothing to give.
            first = next((number for number in range(index, section.after) if not tree[number].is_empty), None)
            if first is not None:
                yield Group(first, section.after - 1, section.parent, whole)
            index = section.after
        elif whole <= capacity(index):
            yield Group(index, section.after - 1, section.parent, whole)
            index = section.after
        else:
            if not section.is_empty:
                # What stands before the subsections may share a passage with the first of them.
                yield Group(index, index, index, costs[index])
            index += 1


def pack(costs: Sequence[int], capacity: int) -> Iterator[tuple[int, int]]:
    """Divide pieces into runs `[from, to)` of at most `capacity` tokens: as few as filling needs, of like size."""
    start, taken, left = 0, 0, sum(costs)
    share = _even_share(left, capacity)
    for index, cost in enumerate(costs):
        if index > start and (taken + cost > capacity or taken + cost / 2 > share):
            yield start, index
            left -= taken
            start, taken, share = index, 0, _even_share(left, capacity)
        taken += cost
    if start < len(costs):
        yield start, len(costs)


def _even_share(tokens: int, capacity: int) -> float:
    return tokens / max(1, ceil(tokens / capacity))
