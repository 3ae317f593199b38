"""The calls of Weaviate's gRPC interface that the store makes, each under a deadline, with errors in our words."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from msgspec import Struct
from weaviate.proto.v1 import aggregate_pb2 as aggregates
from weaviate.proto.v1 import base_pb2 as base
from weaviate.proto.v1 import base_search_pb2 as searches
from weaviate.proto.v1 import batch_delete_pb2 as deletions
from weaviate.proto.v1 import batch_pb2 as batches
from weaviate.proto.v1 import search_get_pb2 as gets

from service.errors import Conflict, StoreUnavailable
from service.models import Match
from service.stores.base import ValueCount, Vector
from service.stores.weaviate.fields import unwrapped
from service.stores.weaviate.messages import aggregate_request, parts_of, returned, search_request
from service.stores.weaviate.nodes import Node, Nodes, Refused

T = TypeVar("T")

WRITE_SECONDS: Final = 30.0
PATIENT_SECONDS: Final = 10.0
"""Of reads that no search waits for."""
LEVELS: Final = {
    "one": base.CONSISTENCY_LEVEL_ONE,
    "quorum": base.CONSISTENCY_LEVEL_QUORUM,
    "all": base.CONSISTENCY_LEVEL_ALL,
}
FIRST: Final = "00000000-0000-0000-0000-000000000000"
GONE: Final = ("tenant not found", "could not find class", "class not found")


class Gone(Exception):
    """What a call addresses does not exist, or no longer."""


class Found(Struct, frozen=True):
    """An object that was fetched."""

    id: str
    properties: dict[str, str]
    is_agreed: bool = False
    """Whether so many copies are the same; told only where that was asked."""


class Extremes(Struct, frozen=True):
    """The ends of a property of numbers, and how many objects have a value."""

    smallest: float
    largest: float
    count: int


class Calls:
    """Calls on classes and their tenants; a tenant of "" is of a class without tenants.

    All raise StoreUnavailable, and Gone where there is no such class or tenant.
    """

    def __init__(self, nodes: Nodes, consistency: str) -> None:
        self._nodes = nodes
        self._level = LEVELS[consistency]

    @property
    def have_misled(self) -> bool:
        """Whether answers of the last minute may lack what was acknowledged."""
        return self._nodes.have_misled

    async def nearest(
        self, name: str, tenant: str, vector: Vector, limit: int, where: base.Filters | None
    ) -> list[Match]:
        """Return the passages nearest to a vector, with their cosine similarity."""
        kind = base.Vectors.VECTOR_TYPE_SINGLE_FP32
        query = searches.NearVector(vectors=[base.Vectors(vector_bytes=vector.astype("<f4").tobytes(), type=kind)])
        wanted = gets.MetadataRequest(uuid=True, distance=True)
        reply = await self._search(search_request(name, tenant, limit, where, near_vector=query, metadata=wanted))
        return [Match(one.metadata.id, 1 - one.metadata.distance) for one in reply.results]

    async def matching(self, name: str, tenant: str, terms: str, limit: int, where: base.Filters | None) -> list[Match]:
        """Return the passages that match terms best, with their BM25 score."""
        query = searches.BM25(query=terms, properties=["terms"])
        wanted = gets.MetadataRequest(uuid=True, score=True)
        reply = await self._search(search_request(name, tenant, limit, where, bm25_search=query, metadata=wanted))
        return [Match(one.metadata.id, one.metadata.score) for one in reply.results]

    async def fetch(
        self,
        name: str,
        tenant: str,
        where: base.Filters | None,
        limit: int,
        properties: Sequence[str],
        *,
        is_agreed: bool = False,
        seconds: float | None = None,
    ) -> list[Found]:
        """Return objects that meet a filter, with properties of text; where `is_agreed`, also whether copies agree.

        Agreed objects are for writes: every node asks another one, and waits long for one that is frozen. Others are
        there in the budget of a search, or in so many seconds.
        """
        request = search_request(name, tenant, limit, where, properties=returned(properties))
        return await (self._fetch_agreed(request) if is_agreed else self._fetch(request, seconds))

    async def page(self, name: str, tenant: str, after: str, limit: int, properties: Sequence[str]) -> list[Found]:
        """Return the objects that come after an id ("" begins), ordered by id."""
        request = search_request(name, tenant, limit, None, properties=returned(properties), after=after or FIRST)
        return await self._fetch(request, PATIENT_SECONDS)

    async def count(self, name: str, tenant: str, where: base.Filters | None) -> int:
        """Count the objects that meet a filter."""
        return (await self._aggregate(aggregate_request(name, tenant, where))).single_result.objects_count

    async def values(self, name: str, tenant: str, of: str, limit: int) -> list[ValueCount]:
        """Return the commonest values of a property of wrapped text or booleans."""
        grouping = aggregates.AggregateRequest.GroupBy(collection=name, property=of)
        reply = await self._aggregate(aggregate_request(name, tenant, None, group_by=grouping, limit=limit))
        groups = reply.grouped_results.groups
        counted = [(group, group.grouped_by.WhichOneof("value")) for group in groups]
        return [
            ValueCount(
                group.grouped_by.boolean if kind == "boolean" else unwrapped(group.grouped_by.text), group.objects_count
            )
            for group, kind in counted
        ]

    async def extremes(
        self, name: str, tenant: str, of: str, where: base.Filters | None, *, is_whole: bool
    ) -> Extremes | None:
        """Look at a property of numbers, of the objects that meet a filter; None where none has a value."""
        wanted = aggregates.AggregateRequest.Aggregation
        kinds = (
            {"int": wanted.Integer(count=True, minimum=True, maximum=True)}
            if is_whole
            else {"number": wanted.Number(count=True, minimum=True, maximum=True)}
        )
        aggregations = [wanted(property=of, **kinds)]
        reply = await self._aggregate(aggregate_request(name, tenant, where, aggregations=aggregations))
        for one in reply.single_result.aggregations.aggregations:
            found = one.int if is_whole else one.number
            return Extremes(found.minimum, found.maximum, found.count) if found.count else None
        return None

    async def insert(self, objects: Iterable[batches.BatchObject]) -> None:
        """Write objects over those with the same ids; raises StoreUnavailable unless all were taken."""
        for part in parts_of(objects):
            reply = await self._insert(batches.BatchObjectsRequest(objects=part, consistency_level=self._level))
            if reply.errors:
                raise _failure(reply.errors[0].error, len(reply.errors), len(part))

    async def remove(self, name: str, tenant: str, where: base.Filters) -> int:
        """Remove all objects that meet a filter; returns how many there were. Weaviate takes 10,000 at a time."""
        request = deletions.BatchDeleteRequest(
            collection=name, tenant=tenant, filters=where, consistency_level=self._level
        )
        removed = 0
        while True:
            reply = await self._remove(request)
            removed += reply.successful
            if reply.failed:
                raise StoreUnavailable(f"Weaviate did not remove {reply.failed} of {reply.matches} objects; try again.")
            if not reply.matches:
                return removed

    async def _remove(self, request: deletions.BatchDeleteRequest) -> deletions.BatchDeleteReply:
        return await self._write(
            lambda node, timeout: node.stub.BatchDelete(request, timeout=timeout, metadata=node.metadata)
        )

    async def _insert(self, request: batches.BatchObjectsRequest) -> batches.BatchObjectsReply:
        return await self._write(
            lambda node, timeout: node.stub.BatchObjects(request, timeout=timeout, metadata=node.metadata)
        )

    async def _fetch(self, request: gets.SearchRequest, seconds: float | None) -> list[Found]:
        request.metadata.uuid = True
        request.consistency_level = base.CONSISTENCY_LEVEL_ONE
        return _found(await self._search(request, seconds))

    async def _fetch_agreed(self, request: gets.SearchRequest) -> list[Found]:
        request.metadata.uuid = True
        request.metadata.is_consistent = True
        request.consistency_level = self._level

        async def search_twice(node: Node, timeout: float) -> gets.SearchReply:
            """Weaviate repairs a copy that is behind, but answers with what stood there, and calls that consistent."""
            await node.stub.Search(request, timeout=timeout / 2, metadata=node.metadata)
            reply: gets.SearchReply = await node.stub.Search(request, timeout=timeout / 2, metadata=node.metadata)
            return reply

        return _found(await self._write(search_twice))

    async def _search(self, request: gets.SearchRequest, seconds: float | None = None) -> gets.SearchReply:
        try:
            return await self._nodes.read(
                lambda node, timeout: node.stub.Search(request, timeout=timeout, metadata=node.metadata), seconds
            )
        except Refused as error:
            raise _failure(str(error)) from error

    async def _aggregate(self, request: aggregates.AggregateRequest) -> aggregates.AggregateReply:
        try:
            return await self._nodes.read(
                lambda node, timeout: node.stub.Aggregate(request, timeout=timeout, metadata=node.metadata),
                PATIENT_SECONDS,
            )
        except Refused as error:
            raise _failure(str(error)) from error

    async def _write(self, call: Callable[[Node, float], Awaitable[T]]) -> T:
        try:
            return await self._nodes.write(call, WRITE_SECONDS)
        except Refused as error:
            raise _failure(str(error)) from error


def _found(reply: gets.SearchReply) -> list[Found]:
    return [
        Found(
            one.metadata.id,
            {name: value.text_value for name, value in one.properties.non_ref_props.fields.items()},
            one.metadata.is_consistent,
        )
        for one in reply.results
    ]


def _failure(details: str, failed: int = 0, sent: int = 0) -> Exception:
    """Say in our words what Weaviate said."""
    if any(reason in details for reason in GONE):
        return Gone(details)
    if "vector lengths" in details or "dimension" in details:
        return Conflict(
            "The collection holds vectors of other dimensions than the running embedding model makes. Start the "
            "service with its model, or delete the collection and import again.",
        )
    of_them = f" {failed} of {sent} objects:" if sent else ""
    return StoreUnavailable(f"Weaviate refused{of_them} {details[:300]}")
