"""What is known of a collection's fields, how many passages have which values: taken from a store, read by plans."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from service.models import Collection, FieldType, Scalar
from service.stores.base import Store
from service.stores.filters import BUILT_IN_FIELDS, Condition, Filter, Operator, canonical_value, comparable

MOST_VALUES: Final = 256
"""Of one field, by themselves; of the others the largest number that one can have is kept."""
LONGEST_VALUE: Final = 256
"""Characters. A longer one is among the others."""
BUCKETS: Final = 32
EVEN: Final = 64
"""A bucket that holds less than this part of the passages is not worth a cut."""

Pause = Callable[[], Awaitable[None]]


class ValueCounts(Struct, frozen=True):
    """A field of keywords or booleans."""

    counts: Mapping[Scalar, int]
    """Passages that have the value, of the commonest."""
    others: int
    """Passages that any other value has at most; 0: there is no other."""
    present: int
    """Passages that have the field."""


class Histogram(Struct, frozen=True):
    """A field of numbers or dates, cut where many passages are."""

    edges: tuple[Scalar, ...] = ()
    """Where buckets begin, ascending, the first with the smallest value there is; none where there is no value."""
    counts: tuple[int, ...] = ()
    """Passages of each bucket."""
    largest: Scalar = 0
    """Value; belongs to the last bucket."""

    @property
    def present(self) -> int:
        """Passages that have the field."""
        return sum(self.counts)


FieldStatistics = ValueCounts | Histogram


class Statistics(Struct, frozen=True):
    """What is known of a collection at one version."""

    version: str
    total: int
    """Passages."""
    fields: Mapping[str, FieldStatistics]
    is_proof: bool
    """Whether nothing was written meanwhile: then they are exactly those of the version."""


async def take(
    store: Store, collection: Collection, names: Iterable[str], pause: Pause
) -> tuple[int, dict[str, FieldStatistics]]:
    """Return the number of passages, and the statistics of the fields with these names; pauses between the calls.

    Raises StoreUnavailable and UnknownCollection.
    """
    total = await store.count(collection, None)
    found: dict[str, FieldStatistics] = {}
    for name in names:
        await pause()
        if field_type := BUILT_IN_FIELDS.get(name) or collection.fields.get(name):
            field = _Field(store, collection, name, field_type, pause)
            is_ordered = field_type in ("integer", "number", "date")
            found[name] = await (field.histogram() if is_ordered else field.values(total))
    return total, found


class _Field:
    """A field whose statistics are taken."""

    def __init__(self, store: Store, collection: Collection, name: str, field_type: FieldType, pause: Pause) -> None:
        self._store = store
        self._collection = collection
        self._name = name
        self._type: FieldType = field_type
        self._pause = pause

    async def values(self, total: int) -> ValueCounts:
        found = await self._store.values(self._collection, self._name, MOST_VALUES + 1)
        kept = {one.value: one.passages for one in found[:MOST_VALUES] if len(str(one.value)) <= LONGEST_VALUE}
        others = max((one.passages for one in found if one.value not in kept), default=0)
        if self._name in BUILT_IN_FIELDS:
            return ValueCounts(kept, others, total)
        if self._type != "keyword[]" and not others:
            return ValueCounts(kept, others, sum(kept.values()))
        await self._pause()
        return ValueCounts(kept, others, total - await self._count(("exists", False)))

    async def histogram(self) -> Histogram:
        """Cut what there is in two, then the fullest part again and again."""
        bounds = await self._store.bounds(self._collection, self._name)
        if bounds is None:
            return Histogram()
        smallest, largest = bounds
        await self._pause()
        counts = {smallest: await self._count(("gte", smallest))}
        finished: set[Scalar] = set()
        while len(counts) < BUCKETS and (whole := self._fullest(counts, finished)) is not None:
            later = sorted((edge for edge in counts if comparable(edge) > comparable(whole)), key=comparable)
            middle = midpoint(whole, later[0] if later else largest, self._type)
            if middle is None:
                finished.add(whole)
                continue
            await self._pause()
            below = await self._count(("gte", whole), ("lt", middle))
            counts[middle] = max(0, counts[whole] - below)
            counts[whole] = below
        edges = sorted(counts, key=comparable)
        return Histogram(tuple(edges), tuple(counts[edge] for edge in edges), largest)

    def _fullest(self, counts: Mapping[Scalar, int], finished: set[Scalar]) -> Scalar | None:
        """Return the fullest bucket that can be cut; None where none is worth it."""
        worth = max(1, sum(counts.values()) // EVEN)
        open_ones = [edge for edge in counts if edge not in finished and counts[edge] > worth]
        return max(open_ones, key=lambda edge: counts[edge], default=None)

    async def _count(self, *demands: tuple[Operator, Scalar]) -> int:
        conditions = [self._condition(operator, value) for operator, value in demands]
        return await self._store.count(self._collection, Filter(tuple(conditions)))

    def _condition(self, operator: Operator, value: Scalar) -> Condition:
        if operator == "lt" and self._type == "integer":  # in canonical form
            return Condition(self._name, self._type, "lte", (int(value) - 1,))
        return Condition(self._name, self._type, operator, (value,))


def midpoint(low: Scalar, high: Scalar, field_type: FieldType) -> Scalar | None:
    """Return a canonical value above `low` and up to `high`, about midway; None where there is none."""
    if field_type == "date":
        first, last = moment(low), moment(high)
        middle = canonical_value(f"{(first + (last - first) / 2).isoformat()}Z", "date")
    elif field_type == "integer":
        middle = (int(low) + int(high) + 1) // 2
    else:
        middle = float(low) / 2 + float(high) / 2
    if isinstance(middle, tuple) or not comparable(low) < comparable(middle) <= comparable(high):
        return None
    return middle


def moment(date: Scalar) -> datetime:
    """Return a canonical date as one that can be reckoned with, without its zone."""
    return datetime.fromisoformat(str(date).removesuffix("Z"))
