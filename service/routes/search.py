"""`/search`: passages for a query, one, many, or packed for a prompt."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from service.errors import FieldError, InvalidRequest
from service.models import Fusion, Mode, SearchRequest, SearchResponse
from service.routes.access import SEARCH
from service.routes.batches import answer_each
from service.routes.caching import PRIVATE, answered_with, demands_of, respond
from service.routes.problems import documented
from service.routes.requests import ServiceRequest, decode_json
from service.search.context import ContextRequest, ContextResponse
from service.stages import Stages
from service.wiring import Services

PARAMETERS = {
    "q",
    "collection",
    "limit",
    "mode",
    "alpha",
    "fusion",
    "filters",
    "minimum_vector_score",
    "minimum_version",
    "explain",
}


class SearchBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Searches to answer in one request."""

    queries: Annotated[list[Any], Meta(min_length=1, max_length=50, description="search requests")]


class SearchBatchResponse(Struct, frozen=True):
    """In the order of the queries; a problem where one failed alone."""

    results: Annotated[list[Any], Meta(description="search responses, or problems")]


ANSWERED = answered_with(SearchResponse)


@post("/search", status_code=200, responses=ANSWERED | documented(400, 404, 409, 413, 422, 503, 504), opt=SEARCH)
async def search(
    request: ServiceRequest,
    data: JSONBody[SearchRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    stages: NamedDependency[Stages],
) -> Response[bytes]:
    """Return the passages for a query."""
    return respond(
        request, await services.search.answer(tenant, data, demands_of(request.joined_headers, tenant), stages)
    )


@get("/search", responses=ANSWERED | documented(400, 404, 409, 422, 503, 504), opt=SEARCH)
async def search_by_parameters(
    request: ServiceRequest,
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    stages: NamedDependency[Stages],
    q: Annotated[str, QueryParameter(min_length=1)],
    collection: FromQuery[str] = "documents",
    limit: Annotated[int, QueryParameter(ge=1, le=50)] = 10,
    mode: FromQuery[Mode] = "hybrid",
    alpha: Annotated[float, QueryParameter(ge=0, le=1)] = 0.7,
    fusion: FromQuery[Fusion] = "relative",
    filters: Annotated[str | None, QueryParameter(description="filters as JSON")] = None,
    minimum_vector_score: Annotated[float | None, QueryParameter(ge=-1, le=1)] = None,
    minimum_version: Annotated[str | None, QueryParameter(max_length=256)] = None,
    explain: FromQuery[bool] = False,  # noqa: FBT002  # given by name
) -> Response[bytes]:
    """Return the passages for a query given as parameters."""
    request.check_parameters(PARAMETERS)
    wanted = SearchRequest(
        query=q,
        collection=collection,
        limit=limit,
        mode=mode,
        alpha=alpha,
        fusion=fusion,
        filters=_filters(filters),
        minimum_vector_score=minimum_vector_score,
        minimum_version=minimum_version,
        explain=explain,
    )
    return respond(
        request, await services.search.answer(tenant, wanted, demands_of(request.joined_headers, tenant), stages)
    )


@post("/search/batch", status_code=200, responses=documented(400, 413, 422), response_headers=PRIVATE, opt=SEARCH)
async def search_batch(
    request: ServiceRequest,
    data: JSONBody[SearchBatch],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    stages: NamedDependency[Stages],
) -> SearchBatchResponse:
    """Answer many searches; each fails alone, in its place."""
    demands = demands_of(request.joined_headers, tenant)

    async def answer(query: SearchRequest) -> msgspec.Raw:
        return msgspec.Raw((await services.search.answer(tenant, query, demands, stages)).body)

    return SearchBatchResponse(await answer_each(request, services.telemetry, data.queries, SearchRequest, answer))


@post(
    "/search/context",
    status_code=200,
    responses=documented(400, 404, 409, 413, 422, 503, 504),
    response_headers=PRIVATE,
    opt=SEARCH,
)
async def search_context(
    request: ServiceRequest,
    data: JSONBody[ContextRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    stages: NamedDependency[Stages],
) -> ContextResponse:
    """Return text ready for a prompt, with citations."""
    return await services.context.build(tenant, data, demands_of(request.joined_headers, tenant), stages)


def _filters(parameter: str | None) -> dict[str, Any] | None:
    filters = decode_json(parameter.encode()) if parameter else None
    if filters is None or isinstance(filters, dict):
        return filters
    raise InvalidRequest(FieldError("?filters", "filters are a JSON object"))
