"""How many passages meet a filter, as far as statistics tell. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from math import prod

from msgspec import Struct

from service.models import FieldType, Scalar
from service.search.statistics import Histogram, Statistics, ValueCounts, moment
from service.stores.filters import Condition, Filter, comparable

LOWER, UPPER = ("gt", "gte"), ("lt", "lte")


class Estimate(Struct, frozen=True):
    """How many passages something matches."""

    matches: float
    most: int
    """More it cannot be, at the version of the statistics."""


NONE = Estimate(0.0, 0)


def estimate_condition(condition: Condition, statistics: Statistics) -> Estimate | None:
    """Return the estimate of one condition; None where nothing is known of its field."""
    known = statistics.fields.get(condition.field)
    if isinstance(known, ValueCounts):
        found = _of_values(condition, known)
    elif known is None:
        return None
    elif condition.operator in LOWER:
        return _between(known, condition, None)
    elif condition.operator in UPPER:
        return _between(known, None, condition)
    else:
        found = _of_points(condition, known)
    if condition.operator == "not_in" or (condition.operator == "exists" and condition.values[0] is False):
        return _without(found, known, condition, statistics.total)
    return found


def estimate_group(branches: Iterable[Filter], statistics: Statistics) -> Estimate | None:
    """Return the estimate of a group of which one branch must hold; None where a branch is unknown."""
    found = [estimate(branch, statistics) for branch in branches]
    known = [one for one in found if one]
    if len(known) < len(found):
        return None
    total = statistics.total
    return Estimate(
        total * (1 - _product(1 - _share(one, total) for one in known)), min(total, sum(one.most for one in known))
    )


def estimate_without(branch: Filter, statistics: Statistics) -> Estimate | None:
    """Return the estimate of all that does not meet a filter; None where the filter is unknown."""
    found = estimate(branch, statistics)
    return Estimate(max(0.0, statistics.total - found.matches), statistics.total) if found else None


def estimate(where: Filter, statistics: Statistics) -> Estimate | None:
    """Return the estimate of a filter, its terms taken as independent; None where nothing is known of any of them.

    A term of which nothing is known is taken to hold always, so that the estimate is rather too large.
    """
    if where.is_contradiction:
        return NONE
    found = [
        *_of_conditions(where.conditions, statistics),
        *(estimate_group(group, statistics) for group in where.any_of),
        *(estimate_without(branch, statistics) for branch in where.none_of),
    ]
    known = [one for one in found if one]
    if not known:
        return None
    total = statistics.total
    most = min(total, *(one.most for one in known))
    return Estimate(min(total * _product(_share(one, total) for one in known), most), most)


def _of_conditions(conditions: Iterable[Condition], statistics: Statistics) -> Iterable[Estimate | None]:
    """Estimate each condition, but both ends of one range together: they are not independent at all."""
    ordered = sorted(conditions)
    ends = {one.field: (first, one) for first, one in pairwise(ordered) if _is_range(first, one)}
    for condition in ordered:
        known = statistics.fields.get(condition.field)
        if condition.field not in ends or not isinstance(known, Histogram) or condition not in ends[condition.field]:
            yield estimate_condition(condition, statistics)
        elif condition.operator in LOWER:
            yield _between(known, *ends[condition.field])


def _is_range(first: Condition, second: Condition) -> bool:
    return first.field == second.field and first.operator in LOWER and second.operator in UPPER


def _of_values(condition: Condition, known: ValueCounts) -> Estimate:
    if condition.operator == "exists":
        return Estimate(known.present, known.present)
    counts = [known.counts.get(value, known.others) for value in condition.values]
    most = min(sum(counts), known.present)
    if condition.type != "keyword[]" or not known.present:
        return Estimate(most, most)
    missed = _product(1 - min(count, known.present) / known.present for count in counts)
    return Estimate(min(known.present * (1 - missed), most), most)


def _of_points(condition: Condition, known: Histogram) -> Estimate:
    """Estimate single values in a histogram: of a whole number its part of the bucket, else the bucket."""
    if condition.operator == "exists":
        return Estimate(known.present, known.present)
    points = [_point(value, condition.type, known) for value in condition.values]
    most = min(sum(point.most for point in points), known.present)
    return Estimate(min(sum(point.matches for point in points), most), most)


def _point(value: Scalar, field_type: FieldType, known: Histogram) -> Estimate:
    if not known.edges or not comparable(known.edges[0]) <= comparable(value) <= comparable(known.largest):
        return NONE
    bucket = bisect_right([comparable(edge) for edge in known.edges], comparable(value)) - 1
    count = known.counts[bucket]
    if field_type != "integer":
        return Estimate(count, count)
    end = known.edges[bucket + 1] if bucket + 1 < len(known.edges) else int(known.largest) + 1
    return Estimate(max(min(count, 1), count / (int(end) - int(known.edges[bucket]))), count)


def _without(found: Estimate, known: ValueCounts | Histogram, condition: Condition, total: int) -> Estimate:
    """Estimate what has none of the values, or not the field: the rest."""
    certain = 0
    if condition.operator == "exists":
        certain = known.present
    elif isinstance(known, ValueCounts):
        counts = [known.counts.get(value, 0) for value in condition.values]
        certain = max(counts) if condition.type == "keyword[]" else sum(counts)
    most = max(0, total - certain)
    return Estimate(min(max(0.0, total - found.matches), most), most)


def _between(known: Histogram, lower: Condition | None, upper: Condition | None) -> Estimate:
    """Estimate a range; where it has no end, it goes on as far as there are values."""
    if not known.edges:
        return NONE
    edges = [comparable(edge) for edge in known.edges]
    low, high = edges[0], comparable(known.largest)
    first, end = 0, len(edges)
    below, above = 0.0, 0.0
    if lower:
        value = comparable(lower.values[0])
        if value > high or (value == high and lower.operator == "gt"):
            return NONE
        first = max(0, bisect_right(edges, value) - 1)
        below = _below(known, first, lower.values[0], lower.type) if value > low else 0.0
    if upper:
        value = comparable(upper.values[0])
        if value < low or (value == low and upper.operator == "lt"):
            return NONE
        end = bisect_left(edges, value) if upper.operator == "lt" else bisect_right(edges, value)
        is_all = value > high or (value == high and upper.operator == "lte")
        # Of whole numbers, those up to n are those below n + 1.
        bound = int(value) + 1 if upper.type == "integer" and upper.operator == "lte" else upper.values[0]
        above = 0.0 if is_all else known.present - _below(known, end - 1, bound, upper.type)
    most = sum(known.counts[first:end])
    return Estimate(min(max(0.0, known.present - below - above), most), most)


def _below(known: Histogram, bucket: int, value: Scalar, field_type: FieldType) -> float:
    """Return about how many passages have less than a value in a bucket, which they fill evenly."""
    last = bucket + 1 == len(known.edges)
    begin = _position(known.edges[bucket], field_type)
    end = _position(known.largest if last else known.edges[bucket + 1], field_type) + (field_type == "integer" and last)
    part = (_position(value, field_type) - begin) / (end - begin) if end > begin else 0.0
    return sum(known.counts[:bucket]) + known.counts[bucket] * min(max(part, 0.0), 1.0)


def _position(value: Scalar, field_type: FieldType) -> float:
    return (moment(value) - moment("0001-01-01T00:00:00Z")).total_seconds() if field_type == "date" else float(value)


def _share(one: Estimate, total: int) -> float:
    return min(1.0, one.matches / total) if total else 0.0


def _product(factors: Iterable[float]) -> float:
    return prod(factors, start=1.0)
