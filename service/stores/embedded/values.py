"""The values that a field has in an index: the commonest, the smallest and the largest."""

from typing import Any, Final

import qdrant_edge as qdrant

from service.models import FieldType, Scalar
from service.stores.base import ValueCount
from service.stores.embedded.payloads import key_of
from service.stores.filters import canonical_value

SAMPLE_POINTS: Final = 256
"""That are looked at to guess how many values a field has."""


def commonest_values(shard: qdrant.EdgeShard, field: str, field_type: FieldType, limit: int) -> list[ValueCount]:
    """Return the commonest values of a field of keywords or booleans, most frequent first."""
    found = shard.facet(qdrant.FacetRequest(key_of(field, field_type), limit, exact=True))
    kept = bool if field_type == "boolean" else str
    return [ValueCount(kept(hit.value), hit.count) for hit in found.hits if hit.count]


def has_many_values(shard: qdrant.EdgeShard, field: str, field_type: FieldType) -> bool:
    """Tell from a sample whether `commonest_values` would hold the interpreter lock too long: 20 us for each value.

    The first points are a sample, as ids are digests.
    """
    key = key_of(field, field_type)
    if field_type == "boolean":
        return False
    points, _ = shard.scroll(qdrant.ScrollRequest(limit=SAMPLE_POINTS, with_payload=[key]))
    found = [_at(point.payload, key) for point in points]
    values = [one for value in found if value for one in ([value] if isinstance(value, str) else value)]
    return len(set(values)) > SAMPLE_POINTS // 4


def extreme_values(shard: qdrant.EdgeShard, field: str, field_type: FieldType) -> tuple[Scalar, Scalar] | None:
    """Return the smallest and the largest value of a field of numbers or dates; None where no passage has one."""
    key = key_of(field, field_type)
    ends = [_first(shard, key, end) for end in (qdrant.Direction.Asc, qdrant.Direction.Desc)]
    if None in ends:
        return None
    first, last = (canonical_value(end, field_type) for end in ends)
    return first, last  # type: ignore[return-value]  # of no array: those have no order


def _first(shard: qdrant.EdgeShard, key: str, direction: Any) -> Any:
    """Return the value that comes first in one direction; None where no passage has one."""
    order = qdrant.OrderBy(key, direction=direction)
    points, _ = shard.scroll(qdrant.ScrollRequest(limit=1, order_by=order, with_payload=[key]))
    return _at(points[0].payload, key) if points else None


def _at(payload: Any, key: str) -> Any:
    """Return what a payload holds at a key with dots; None where it does not."""
    for part in key.split("."):
        payload = (payload or {}).get(part)
    return payload
