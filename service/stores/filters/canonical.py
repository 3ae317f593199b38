"""Bringing whole filters into one form: equal meanings get equal filters as far as that is practical."""

from collections.abc import Iterable
from itertools import pairwise

from service.stores.filters.conditions import EVERYTHING, NOTHING, Condition, Filter
from service.stores.filters.merging import merge, negated, united


def canonical(where: Filter) -> Filter:
    """Return the filter's one form, NOTHING where it cannot be met, EVERYTHING where it always is.

    Terms that cannot hold beside the others are dropped, terms that always do are too, and nesting that adds nothing is
    taken away.
    """
    gathered = _gather(where)
    if gathered.is_contradiction:
        return NOTHING
    conditions = merge(gathered.conditions)
    if conditions is None:
        return NOTHING
    simpler = Filter(
        conditions,
        tuple(tuple(_beside(branch, conditions) for branch in group) for group in gathered.any_of),
        tuple(_beside(branch, conditions) for branch in gathered.none_of),
    )
    return simpler if simpler == where else canonical(simpler)


def _gather(where: Filter) -> Filter:
    """Lift what the groups demand outright into the filter itself; groups that remain are canonical and sorted."""
    conditions = list(where.conditions)
    any_of: set[tuple[Filter, ...]] = set()
    none_of: set[Filter] = set()
    demanded = [_either(group) for group in where.any_of] + [_not(branch) for branch in where.none_of]
    for term in demanded:
        conditions.extend(term.conditions)
        any_of.update(term.any_of)
        none_of.update(term.none_of)
    is_contradiction = where.is_contradiction or any(term.is_contradiction for term in demanded)
    return Filter(tuple(conditions), tuple(sorted(any_of)), tuple(sorted(none_of)), is_contradiction)


def _either(group: Iterable[Filter]) -> Filter:
    """Return the filter that is met where some branch is."""
    branches: set[Filter] = set()
    for branch in map(canonical, set(group)):
        is_choice = len(branch.any_of) == 1 and branch == Filter(any_of=branch.any_of)
        branches.update(branch.any_of[0] if is_choice else [branch])
    branches.discard(NOTHING)
    if EVERYTHING in branches:
        return EVERYTHING
    simple = [branch for branch in branches if _is_single(branch)]
    complex_branches = branches.difference(simple)
    united_branches = [canonical(Filter((one,))) for one in _unite(branch.conditions[0] for branch in simple)]
    remaining = sorted({*complex_branches, *united_branches})
    if len(remaining) > 1:
        return Filter(any_of=(tuple(remaining),))
    return remaining[0] if remaining else NOTHING


def _not(branch: Filter) -> Filter:
    """Return the filter that is met where the branch is not."""
    branch = canonical(branch)
    if branch == NOTHING:
        return EVERYTHING
    if branch == EVERYTHING:
        return NOTHING
    if _is_single(branch):
        opposite = negated(branch.conditions[0])
        return canonical(Filter((opposite,))) if opposite else Filter(none_of=(branch,))
    if len(branch.any_of) == 1 and branch == Filter(any_of=branch.any_of):
        return _gather(Filter(none_of=branch.any_of[0]))
    if branch == Filter(none_of=branch.none_of):
        return _either(branch.none_of)
    return Filter(none_of=(branch,))


def _beside(branch: Filter, known: tuple[Condition, ...]) -> Filter:
    """Return what the branch adds where the known conditions hold already."""
    if merge([*known, *branch.conditions]) is None:
        return NOTHING
    added = tuple(condition for condition in branch.conditions if merge([*known, condition]) != known)
    return Filter(added, branch.any_of, branch.none_of)


def _is_single(branch: Filter) -> bool:
    return len(branch.conditions) == 1 and branch == Filter(branch.conditions)


def _unite(conditions: Iterable[Condition]) -> list[Condition]:
    """Unite `in` conditions on the same field, the others stay."""
    ordered = sorted(conditions)
    for first, second in pairwise(ordered):
        both = united(first, second)
        if both:
            return _unite([both, *(one for one in ordered if one not in (first, second))])
    return ordered
