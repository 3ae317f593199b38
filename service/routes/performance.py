"""`/performance`: what the caches do and save, deleting from them, and warming them."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta, Struct

from service.caches.accounts import Savings, TierAccount, hit_rate
from service.caches.base import Kind
from service.caches.deletions import Scope
from service.errors import FieldError, InvalidRequest, SwitchedOff
from service.models import SearchRequest
from service.resilience.budgets import budgeted
from service.routes.access import ADMIN
from service.routes.caching import owner_of
from service.routes.problems import documented, field_error
from service.routes.records import decoded_id
from service.routes.requests import ServiceRequest, bounded_body, decode_json
from service.search.hottest import Hot
from service.search.warming import Warmed
from service.stores.catalog import check_name
from service.timings import Timing
from service.wiring import Services

CACHE_STATS = ["/performance/cache-stats", "/api/cache/metrics", "/api/stats/cache"]


DryRun = Annotated[bool, QueryParameter(description="count only")]


class CacheStats(Struct, frozen=True):
    """Every cache, tier by tier."""

    enabled: bool
    caches: dict[str, dict[str, TierAccount]]
    saved: Savings


class PerformanceStats(Struct, frozen=True):
    """Times of the last requests, and what the caches spare."""

    routes: dict[str, Timing]
    stages: dict[str, Timing]
    hit_rates: dict[str, float]
    saved: Savings


class Deleted(Struct, frozen=True):
    """What a deletion covered, in this process' memory and in Redis."""

    kind: str
    entries: int
    dry_run: bool


class WarmRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which searches to have ready; without any, the hottest ones."""

    queries: Annotated[
        list[str | dict[str, Any]], Meta(max_length=1000, description="queries, or search requests")
    ] = []


@dataclass
class WarmOperation(Operation):
    """Describes the body, which may be left out."""

    def __post_init__(self) -> None:
        queries = Schema(type=OpenAPIType.ARRAY, items=Schema(type=[OpenAPIType.STRING, OpenAPIType.OBJECT]))
        schema = Schema(type=OpenAPIType.OBJECT, properties={"queries": queries}, additional_properties=False)
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=False)


@get("/performance/stats", opt=ADMIN, responses=documented())
async def performance_stats(services: NamedDependency[Services]) -> PerformanceStats:
    """Return count, rate and percentiles of each route and stage, hit rates, and what was saved."""
    routes, stages = services.telemetry.timings()
    return PerformanceStats(routes, stages, _hit_rates(services), _savings(services))


@get(CACHE_STATS, opt=ADMIN, responses=documented())
async def cache_stats(services: NamedDependency[Services]) -> CacheStats:
    """Return lookups, entries and bytes of each cache and tier."""
    caches = services.caches
    accounts = await caches.accounts() if caches else {}
    return CacheStats(caches is not None, accounts, _savings(services))


@delete("/performance/cache", status_code=200, responses=documented(404, 422, 503), opt=ADMIN)
async def delete_cached(
    request: ServiceRequest,
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    kind: FromQuery[Kind | None] = None,
    collection: FromQuery[str | None] = None,
    dry_run: DryRun = False,  # noqa: FBT002  # a query parameter
) -> Deleted:
    """Delete the caller's cached values, of one kind or of one collection; at once in every process."""
    request.check_parameters({"kind", "collection", "dry_run"})
    if request.scope["raw_path"].partition(b"?")[0].endswith(b"/"):
        raise InvalidRequest(FieldError("", "name the user after the slash, or leave the slash out to delete all"))
    if collection is not None:
        check_name(collection, "?collection")
        if kind == "embedding":
            raise InvalidRequest(FieldError("?collection", "embeddings belong to no collection; leave it out"))
    return await _delete(services, tenant, Scope(kind=kind, collection=collection), kind or "all", dry_run=dry_run)


@delete("/performance/cache/{user_id:path}", status_code=200, responses=documented(404, 422, 503), opt=ADMIN)
async def delete_cached_of_user(
    request: ServiceRequest,
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    user_id: FromPath[str],
    dry_run: DryRun = False,  # noqa: FBT002  # a query parameter
) -> Deleted:
    """Delete what was computed for one end user, whom `X-User-ID` named; at once in every process."""
    request.check_parameters({"dry_run"})
    return await _delete(
        services, tenant, Scope(owner=owner_of(decoded_id(user_id).encode(), tenant)), "user", dry_run=dry_run
    )


@post(
    "/performance/cache/warm",
    status_code=200,
    operation_class=WarmOperation,
    responses=documented(400, 404, 413, 422),
    opt=ADMIN,
)
async def warm_caches(
    request: ServiceRequest,
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Warmed:
    """Answer searches once, so that they are hits from now on."""
    if services.caches is None:
        raise SwitchedOff("The caches are switched off by RETRIEVAL_CACHE_ENABLED.")
    wanted = [_search(query, place) for place, query in enumerate(_queries(await bounded_body(request.stream())))]
    requests = [Hot(tenant, "/search", msgspec.json.encode(request)) for request in wanted]
    with budgeted(None):
        return await services.warmer.warm(requests or await services.warmer.hottest(tenant))


def _queries(body: bytes) -> list[str | dict[str, Any]]:
    try:
        return msgspec.convert(decode_json(body), WarmRequest).queries if body else []
    except msgspec.ValidationError as error:
        raise InvalidRequest(field_error(error)) from None


async def _delete(services: Services, tenant: str, scope: Scope, kind: str, *, dry_run: bool) -> Deleted:
    if services.caches is None:
        raise SwitchedOff("The caches are switched off by RETRIEVAL_CACHE_ENABLED.")
    return Deleted(kind, await services.caches.delete(tenant, scope, dry_run=dry_run), dry_run)


def _savings(services: Services) -> Savings:
    return services.saved.savings(services.settings.embedding_price_per_1000)


def _hit_rates(services: Services) -> dict[str, float]:
    """Return the part of lookups that either tier answered, by cache."""
    return {cache.kind: hit_rate(cache) for cache in services.caches.all} if services.caches else {}


def _search(query: str | dict[str, Any], place: int) -> SearchRequest:
    try:
        return msgspec.convert({"query": query} if isinstance(query, str) else query, SearchRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(FieldError(f"/queries/{place}", str(error))) from None
