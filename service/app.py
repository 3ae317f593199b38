"""The ASGI application: routes and error answers."""

from litestar import Litestar, Router
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import ScalarRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from service import __version__
from service.routes import collections, documents, entries, faq, operation, performance, search
from service.routes.access import guard_of
from service.routes.direct import Direct
from service.routes.envelope import Envelope
from service.routes.problems import respond_with_problem
from service.routes.requests import LARGEST_BODY, ServiceRequest, stages_of, tenant_of_caller
from service.wiring import Services

CLOSED = [
    search.search,
    search.search_by_parameters,
    search.search_batch,
    search.search_context,
    faq.faq_search,
    faq.faq_search_batch,
    collections.put_collection,
    collections.list_collections,
    collections.get_collection,
    collections.delete_collection,
    collections.reindex_collection,
    collections.drop_generation,
    collections.roll_collection_back,
    documents.import_documents,
    documents.import_file,
    documents.list_documents,
    documents.get_document,
    documents.delete_document,
    documents.delete_documents,
    entries.import_entries,
    entries.list_entries,
    entries.get_entry,
    entries.delete_entry,
    entries.delete_entries,
    performance.performance_stats,
    performance.cache_stats,
    performance.delete_cached,
    performance.delete_cached_of_user,
    performance.warm_caches,
]
"""Each declares the scope that it needs."""
OPEN = [operation.health, operation.live, operation.ready, operation.metrics]
"""Answered to everybody: platforms ask them."""


def create_app(services: Services) -> Envelope:
    """Build the application over opened services."""
    bearer = {"key": SecurityScheme(type="http", scheme="bearer")} if services.settings.api_keys_file else {}
    security: list[dict[str, list[str]]] = [{name: []} for name in bearer]
    closed = Router(
        "/",
        route_handlers=CLOSED,
        guards=[guard_of(services)],
        security=security,
        cache_control=CacheControlHeader(private=True, no_store=True),  # what is no search says no more than that
    )
    app = Litestar(
        [closed, *OPEN],
        request_class=ServiceRequest,
        request_max_body_size=LARGEST_BODY,
        exception_handlers={Exception: respond_with_problem},
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "tenant": Provide(tenant_of_caller, sync_to_thread=False),
            "stages": Provide(stages_of, sync_to_thread=False),
        },
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="retrieval-service",
            version=__version__,
            path="/schema",
            render_plugins=[ScalarRenderPlugin()],
            components=Components(security_schemes={**bearer}),
        ),
    )
    budget_seconds = services.settings.redis_budget_ms / 1000
    return Envelope(Direct(app, services), services.telemetry, budget_seconds, services.stopping)
