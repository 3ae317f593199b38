"""Requests to Weaviate as messages of its gRPC interface."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from weaviate.proto.v1 import aggregate_pb2 as aggregates
from weaviate.proto.v1 import base_pb2 as base
from weaviate.proto.v1 import base_search_pb2 as searches
from weaviate.proto.v1 import batch_pb2 as batches
from weaviate.proto.v1 import search_get_pb2 as gets

OBJECTS_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 8_000_000


def search_request(
    name: str,
    tenant: str,
    limit: int,
    where: base.Filters | None,
    *,
    near_vector: searches.NearVector | None = None,
    bm25_search: searches.BM25 | None = None,
    metadata: gets.MetadataRequest | None = None,
    properties: gets.PropertiesRequest | None = None,
    after: str = "",
) -> gets.SearchRequest:
    """Return the request for objects of a class: by a filter, a vector or words."""
    return gets.SearchRequest(
        collection=name,
        tenant=tenant,
        limit=limit,
        filters=where,
        near_vector=near_vector,
        bm25_search=bm25_search,
        metadata=metadata,
        properties=properties or gets.PropertiesRequest(),
        after=after,
        uses_123_api=True,
        uses_125_api=True,
        uses_127_api=True,
    )


def returned(properties: Sequence[str]) -> gets.PropertiesRequest:
    """Name the properties that an answer holds."""
    return gets.PropertiesRequest(non_ref_properties=properties)


def aggregate_request(
    name: str,
    tenant: str,
    where: base.Filters | None,
    *,
    group_by: aggregates.AggregateRequest.GroupBy | None = None,
    limit: int | None = None,
    aggregations: Sequence[aggregates.AggregateRequest.Aggregation] = (),
) -> aggregates.AggregateRequest:
    """Return the request for a count of objects, and what else is told of them."""
    return aggregates.AggregateRequest(
        collection=name,
        tenant=tenant,
        filters=where,
        objects_count=True,
        group_by=group_by,
        limit=limit,
        aggregations=aggregations,
    )


def parts_of(objects: Iterable[batches.BatchObject]) -> Iterator[list[batches.BatchObject]]:
    """Divide objects into what one call takes."""
    part: list[batches.BatchObject] = []
    size = 0
    for one in objects:
        own = one.ByteSize()
        if part and (len(part) == OBJECTS_AT_ONCE or size + own > BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(one)
        size += own
    if part:
        yield part
