"""Settings to objects: the one place where adapters are chosen and joined."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from msgspec import Struct

from service.caches.accounts import Saved, export, export_faq, export_redis, export_savings, summing_up
from service.caches.embeddings import CachedEmbedder
from service.caches.freshness import Freshness, OwnVersions
from service.caches.opening import Caches, open_caches
from service.embedders.base import Embedder, Model
from service.embedders.batching import open_embedder
from service.ingest.importer import Importer
from service.models import Collection, SearchRequest
from service.search.answering import Answering, Flow, Observe
from service.search.context import ContextBuilder
from service.search.faq import FaqDefaults, FaqRequest, FaqSearch, PreparedFaq
from service.search.hottest import FileHotList, RedisHotList
from service.search.pipeline import PreparedSearch, SearchPipeline
from service.search.popularity import Popularity
from service.search.warming import Warmer
from service.settings import Settings
from service.stores.base import Store
from service.stores.embedded import open_embedded_store
from service.telemetry import Telemetry


class Services(Struct, frozen=True):
    """What the routes call."""

    settings: Settings
    telemetry: Telemetry
    store: Store
    embedder: Embedder
    caches: Caches | None
    saved: Saved
    warmer: Warmer
    search: Answering[SearchRequest, PreparedSearch]
    faq: Answering[FaqRequest, PreparedFaq]
    context: ContextBuilder
    importer: Importer


@asynccontextmanager
async def open_store(settings: Settings, dimensions: int, _: Caches | None) -> AsyncIterator[tuple[Store, Freshness]]:
    """Open the store of the settings, and what tells whether its versions are current."""
    index_at = settings.embedded_index_at
    async with open_embedded_store(settings.data_dir, dimensions=dimensions, index_at=index_at) as store:
        yield store, OwnVersions()


OpenStore = Callable[[Settings, int, Caches | None], AbstractAsyncContextManager[tuple[Store, Freshness]]]


@asynccontextmanager
async def open_services(
    settings: Settings, telemetry: Telemetry, open_store: OpenStore = open_store
) -> AsyncIterator[Services]:
    """Open the model, the caches and the store, do the first inference, warm up, and close all at the end."""
    async with AsyncExitStack() as stack:
        model = await asyncio.to_thread(load_model, settings)
        embedder = await stack.enter_async_context(open_embedder(model))
        await embedder.embed(["the first inference"], "query")
        caches = await stack.enter_async_context(open_caches(settings))
        opened = open_store(settings, embedder.card.dimensions, caches)
        store, freshness = await stack.enter_async_context(opened)
        services = join_services(settings, telemetry, store, freshness, embedder, caches)
        await services.warmer.warm(await services.warmer.hottest())
        if caches and settings.warm_queries:
            await stack.enter_async_context(services.warmer.saving())
        if caches:
            await stack.enter_async_context(summing_up(caches.all))
        yield services


def join_services(
    settings: Settings,
    telemetry: Telemetry,
    store: Store,
    freshness: Freshness,
    embedder: Embedder,
    caches: Caches | None,
) -> Services:
    """Build the flows over a store, an embedder and the caches."""
    saved, popularity = Saved(), Popularity()
    results, deadline = caches.result if caches else None, settings.request_deadline_seconds

    def cached() -> Embedder:
        return _cached(embedder, caches, settings, saved)

    def answering(path: str, flow: Flow[Any, Any], usual_ttl: float, observe: Observe | None) -> Answering[Any, Any]:
        ttl = _ttl(settings, usual_ttl)
        return Answering(path, flow, results, freshness, ttl, saved, popularity, deadline, observe)

    defaults = FaqDefaults(limit=settings.faq_max_results, minimum_score=settings.faq_min_similarity)
    for_faq = cached()
    searching = answering("/search", SearchPipeline(store, cached()), settings.search_result_cache_ttl_seconds, None)
    faq = FaqSearch(store, for_faq, defaults)
    asking = answering("/faq/search", faq, settings.faq_result_cache_ttl_seconds, telemetry.observe_faq)
    services = Services(
        settings=settings,
        telemetry=telemetry,
        store=store,
        embedder=embedder,
        caches=caches,
        saved=saved,
        warmer=Warmer(
            {"/search": (SearchRequest, searching), "/faq/search": (FaqRequest, asking)},
            popularity,
            RedisHotList(caches.redis) if caches and caches.redis else FileHotList(settings.data_dir / "hot"),
            telemetry,
            settings.warm_queries if caches else 0,
        ),
        search=searching,
        faq=asking,
        context=ContextBuilder(searching, store, embedder),
        importer=Importer(store, cached()),
    )
    export_metrics(services, for_faq)
    return services


def _cached(embedder: Embedder, caches: Caches | None, settings: Settings, saved: Saved) -> Embedder:
    """Return the embedder behind its cache; each user of one has counts of its own."""
    ttl = settings.embedding_cache_ttl_seconds
    return CachedEmbedder(embedder, caches.embedding, ttl, saved) if caches else embedder


def _ttl(settings: Settings, usual: float) -> Callable[[Collection], float]:
    """Return how many seconds results of a collection are kept."""
    return lambda collection: settings.policy_result_cache_ttl_seconds if collection.cache == "policy" else usual


def export_metrics(services: Services, for_faq: Embedder) -> None:
    """Export what the caches count."""
    caches, telemetry = services.caches, services.telemetry
    price = services.settings.embedding_price_per_1000
    export_savings(services.saved, price, telemetry)
    if caches:
        export(caches.all, telemetry)
    if caches and caches.redis and caches.follower:
        export_redis(caches.redis, caches.follower, telemetry)
    if isinstance(for_faq, CachedEmbedder):
        export_faq(for_faq.counts, telemetry)


def load_model(settings: Settings) -> Model:
    """Load the embedding model of the settings; raises ModelUnavailable. Takes up to a second: call it in a thread."""
    prefixes = settings.embedding_query_prefix, settings.embedding_passage_prefix
    if settings.embedding_runtime == "onnx":
        from service.embedders.onnx import load_onnx_model  # noqa: PLC0415  # only the runtime that is used is loaded

        return load_onnx_model(settings.embedding_model, *prefixes)
    from service.embedders.sentence_transformers import load_sentence_transformer  # noqa: PLC0415  # the same

    return load_sentence_transformer(settings.embedding_model, *prefixes)
