"""`/faq/search`: golden answers for a question, one or many."""

from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta, Struct

from service.errors import FieldError, InvalidRequest, SwitchedOff
from service.routes.access import SEARCH
from service.routes.batches import answer_each
from service.routes.caching import PRIVATE, answered_with, demands_of, respond
from service.routes.problems import documented
from service.routes.requests import ServiceRequest
from service.search.faq import FaqRequest, FaqResponse
from service.stages import Stages
from service.wiring import Services


class FaqBatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Questions to answer in one request, up to `RETRIEVAL_FAQ_BATCH_SIZE`."""

    queries: Annotated[list[Any], Meta(min_length=1, description="FAQ search requests")]


class FaqBatchResponse(Struct, frozen=True):
    """In the order of the queries; a problem where one failed alone."""

    results: Annotated[list[Any], Meta(description="FAQ search responses, or problems")]


@post(
    "/faq/search",
    status_code=200,
    responses=answered_with(FaqResponse) | documented(400, 404, 409, 413, 422, 503, 504),
    opt=SEARCH,
)
async def faq_search(
    request: ServiceRequest,
    data: JSONBody[FaqRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    stages: NamedDependency[Stages],
) -> Response[bytes]:
    """Return the FAQ entries whose questions are nearest to the query."""
    _check_enabled(services)
    return respond(request, await services.faq.answer(tenant, data, demands_of(request.joined_headers, tenant), stages))


@post(
    "/faq/search/batch", status_code=200, responses=documented(400, 404, 413, 422), response_headers=PRIVATE, opt=SEARCH
)
async def faq_search_batch(
    request: ServiceRequest,
    data: JSONBody[FaqBatch],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    stages: NamedDependency[Stages],
) -> FaqBatchResponse:
    """Answer many questions; each fails alone, in its place."""
    _check_enabled(services)
    most = services.settings.faq_batch_size
    if len(data.queries) > most:
        raise InvalidRequest(FieldError("/queries", f"at most {most} queries in one request"))

    demands = demands_of(request.joined_headers, tenant)

    async def answer(query: FaqRequest) -> msgspec.Raw:
        return msgspec.Raw((await services.faq.answer(tenant, query, demands, stages)).body)

    return FaqBatchResponse(await answer_each(request, services.telemetry, data.queries, FaqRequest, answer))


def _check_enabled(services: Services) -> None:
    if not services.settings.faq_enabled:
        raise SwitchedOff("FAQ search is switched off by RETRIEVAL_FAQ_ENABLED.")
