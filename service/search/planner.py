"""What to make of a filter: how selective it is, in which order to demand it, and how to search. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from service.models import ConditionPlan, Plan, Strategy
from service.search.estimates import Estimate, estimate, estimate_condition, estimate_group, estimate_without
from service.search.statistics import Statistics
from service.stores.filters import Filter

IMPOSSIBLE: Final = "the conditions contradict each other: no passage can ever meet them"


class Thresholds(Struct, frozen=True):
    """Where one strategy takes over from another; measured on each store (ADR 0009)."""

    exact_matches: int
    """Up to so many estimated matches are scanned, rather than an index searched."""
    is_expected: bool = False
    """Whether the store decides for itself, so that the plan says what it will do, and does not decide it."""


class Planned(Struct, frozen=True):
    """A plan, and the filter in the order that it found."""

    plan: Plan
    where: Filter | None
    fraction: float | None = None
    """Estimated, of all passages."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to search for."""
        return self.plan.strategy == "empty"

    @property
    def is_exact(self) -> bool:
        """Whether to scan."""
        return self.plan.strategy == "exact"


UNFILTERED: Final = Planned(Plan(strategy="unfiltered", reason="there is no filter"), None)


def plan(where: Filter | None, statistics: Statistics | None, thresholds: Thresholds, *, is_current: bool) -> Planned:
    """Decide how to search with a filter.

    `is_current`: the statistics are exactly those of the version that is searched, so that a zero in them is proof.
    """
    if where is None:
        return UNFILTERED
    if where.is_contradiction:
        return Planned(Plan(strategy="empty", reason=IMPOSSIBLE, estimated_matches=0), where, 0.0)
    if statistics is None:
        reason = "there are no statistics yet: they are taken now, for the searches after this one"
        waiting = Plan(strategy="filtered", expected=thresholds.is_expected, reason=reason, conditions=_unknown(where))
        return Planned(waiting, where)
    terms, ordered = _ordered(where, statistics)
    found = estimate(where, statistics)
    strategy, reason = _strategy(found, statistics, thresholds, is_current=is_current)
    made = Plan(
        strategy=strategy,
        expected=thresholds.is_expected and strategy != "empty",
        reason=reason,
        conditions=terms,
        estimated_matches=round(found.matches) if found else None,
    )
    return Planned(made, ordered, _fraction(found, statistics.total) if found else None)


def counted(planned: Planned, matches: int) -> Plan:
    """Return the plan with the number of passages that really meet the filter."""
    return structs.replace(planned.plan, matches=matches)


def _strategy(
    found: Estimate | None, statistics: Statistics, thresholds: Thresholds, *, is_current: bool
) -> tuple[Strategy, str]:
    if found is None:
        return "filtered", "there are no statistics of these fields yet: they are taken now"
    if is_current and statistics.is_proof and found.most == 0:
        return "empty", "at this version of the collection no passage meets the filter, as exact statistics show"
    about = f"about {found.matches:,.0f} of {statistics.total:,} passages meet the filter"
    if found.matches <= thresholds.exact_matches:
        return "exact", f"{about}: to compare each of them is quicker than to search the index, and misses none"
    return "filtered", f"{about}: too many to compare each, so the index is searched with the filter"


def _ordered(where: Filter, statistics: Statistics) -> tuple[list[ConditionPlan], Filter]:
    """Return the terms most selective first, and the filter with its operands in that order."""
    total = statistics.total
    conditions = [(estimate_condition(one, statistics), one) for one in where.conditions]
    groups = [(estimate_group(group, statistics), group) for group in where.any_of]
    excluded = [(estimate_without(branch, statistics), branch) for branch in where.none_of]
    terms = [
        *((found, one.field, one.operator) for found, one in conditions),
        *((found, "any_of", "any_of") for found, _ in groups),
        *((found, "none_of", "none_of") for found, _ in excluded),
    ]
    ordered = Filter(
        tuple(one for _, one in sorted(conditions, key=_rank)),
        tuple(group for _, group in sorted(groups, key=_rank)),
        tuple(branch for _, branch in sorted(excluded, key=_rank)),
    )
    return [_term(field, operator, found, total) for found, field, operator in sorted(terms, key=_rank)], ordered


def _rank(pair: Sequence[object]) -> float:
    """Order by estimate; what is unknown comes last."""
    found = pair[0]
    return found.matches if isinstance(found, Estimate) else float("inf")


def _term(field: str, operator: str, found: Estimate | None, total: int) -> ConditionPlan:
    if found is None:
        return ConditionPlan(field, operator, None, None)
    return ConditionPlan(field, operator, round(found.matches), _fraction(found, total))


def _fraction(found: Estimate, total: int) -> float:
    return round(min(1.0, found.matches / total), 6) if total else 0.0


def _unknown(where: Filter) -> list[ConditionPlan]:
    groups = [("any_of",) * 2 for _ in where.any_of] + [("none_of",) * 2 for _ in where.none_of]
    named = [*((one.field, one.operator) for one in where.conditions), *groups]
    return [ConditionPlan(field, operator, None, None) for field, operator in named]


def fields_of(where: Filter) -> set[str]:
    """Return the fields that a filter speaks of."""
    own = {one.field for one in where.conditions}
    branches = [*(branch for group in where.any_of for branch in group), *where.none_of]
    return own.union(*(fields_of(branch) for branch in branches))
