"""Settings to objects: the one place where adapters are chosen and joined."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from msgspec import Struct

from service.access.base import Access
from service.access.keyring import open_access
from service.caches.accounts import Saved, export, export_faq, export_redis, export_savings, summing_up
from service.caches.embeddings import CachedEmbedders
from service.caches.freshness import Freshness, OwnVersions, SharedVersions
from service.caches.ledgers import RedisVersions
from service.caches.opening import Caches, Link, open_caches, open_link
from service.embedders.base import Embedder, Embedders, Model
from service.embedders.batching import open_embedder
from service.embedders.builtin import NAME as BUILT_IN
from service.embedders.compiled import MODELS, compiled_folders
from service.embedders.pool import ModelPool, open_pool
from service.ingest.comparing import Comparer
from service.ingest.importer import Importer
from service.ingest.reindexing import Reindexer
from service.ingest.shapes import Shapes
from service.ingest.writing import Writer
from service.models import Collection, Kind, SearchRequest
from service.resilience.admission import Admission
from service.search.accounts import export_admission
from service.search.answering import Answer, Answering, Flow, Observe
from service.search.context import ContextBuilder
from service.search.faq import FaqDefaults, FaqRequest, FaqSearch, PreparedFaq
from service.search.hottest import FileHotList, RedisHotList
from service.search.pipeline import PreparedSearch, SearchPipeline
from service.search.planning import EMBEDDED, WEAVIATE, Planning
from service.search.popularity import Popularity
from service.search.refreshing import Refreshing
from service.search.warming import Warmer
from service.settings import Settings
from service.stores.base import Store
from service.stores.census import Census
from service.stores.embedded import export_room, open_embedded_store
from service.stores.versioned import VersionedStore
from service.telemetry import Telemetry

logger = logging.getLogger(__name__)


class Services(Struct, frozen=True):
    """What the routes call."""

    settings: Settings
    telemetry: Telemetry
    access: Access
    store: Store
    census: Census
    embedder: Embedder
    link: Link | None
    caches: Caches | None
    saved: Saved
    warmer: Warmer
    planning: Planning
    search: Answering[SearchRequest, PreparedSearch]
    faq: Answering[FaqRequest, PreparedFaq]
    context: ContextBuilder
    writer: Writer
    importer: Importer
    reindexer: Reindexer
    stopping: asyncio.Event
    """Set when the process is told to stop: it is not ready any more, and imports end at an acknowledged batch."""


@asynccontextmanager
async def open_store(
    settings: Settings, dimensions: int, link: Link | None, telemetry: Telemetry
) -> AsyncIterator[tuple[Store, Freshness]]:
    """Open the store of the settings, and what tells whether its versions are current."""
    if settings.store == "weaviate":
        async with open_weaviate(settings, link, telemetry) as opened:
            yield opened
        return
    index_at = settings.embedded_index_at
    async with open_embedded_store(settings.data_dir, dimensions=dimensions, index_at=index_at) as store:
        export_room(settings.data_dir, telemetry)
        yield store, OwnVersions()


@asynccontextmanager
async def open_weaviate(
    settings: Settings, link: Link | None, telemetry: Telemetry
) -> AsyncIterator[tuple[Store, Freshness]]:
    """Open Weaviate, with versions that Redis keeps for all processes; without Redis each knows its own writes only."""
    from service.stores.weaviate import open_weaviate_store  # noqa: PLC0415  # a second to load, for those who use it

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_weaviate_store(
                settings.weaviate_urls,
                settings.weaviate_grpc_addresses,
                telemetry,
                api_key=settings.weaviate_api_key,
                replication=settings.weaviate_replication,
                consistency=settings.weaviate_consistency,
                budget_seconds=settings.weaviate_budget_ms / 1000,
            )
        )
        redis, follower = (link.redis, link.follower) if link else (None, None)
        if redis is None:
            logger.warning(
                "Weaviate without Redis: other processes' writes are unknown here; results are kept %g s at most",
                settings.memory_trust_seconds,
            )
        versions = RedisVersions(redis, follower, writes=settings.writes_without_redis)
        stack.push_async_callback(versions.close)
        yield VersionedStore(store, versions), SharedVersions(versions, settings.settling_seconds, store.lags)


OpenStore = Callable[[Settings, int, Link | None, Telemetry], AbstractAsyncContextManager[tuple[Store, Freshness]]]


@asynccontextmanager
async def open_services(
    settings: Settings, telemetry: Telemetry, open_store: OpenStore = open_store, stopping: asyncio.Event | None = None
) -> AsyncIterator[Services]:
    """Open the model, the caches and the store, do the first inference, warm up, and close all at the end."""
    stopping = stopping or asyncio.Event()
    async with AsyncExitStack() as stack:
        access = await stack.enter_async_context(open_access(settings.api_keys_file))
        model = await asyncio.to_thread(load_model, settings)
        embedder = await stack.enter_async_context(open_embedder(model))
        await embedder.embed(["the first inference"], "query")
        link = await stack.enter_async_context(open_link(settings))
        caches = await stack.enter_async_context(open_caches(settings, link))
        opened = open_store(settings, embedder.card.dimensions, link, telemetry)
        store, freshness = await stack.enter_async_context(opened)
        pool = await stack.enter_async_context(
            open_pool(embedder, settings.embedding_model, lambda: model_loaders(settings))
        )
        services = join_services(settings, telemetry, access, store, freshness, pool, embedder, link, caches, stopping)
        stack.push_async_callback(services.reindexer.close)
        stack.push_async_callback(services.planning.close)
        stack.push_async_callback(services.census.close)
        await services.warmer.warm(await services.warmer.hottest())
        if caches and settings.warm_queries:
            await stack.enter_async_context(services.warmer.saving())
        if caches:
            await stack.enter_async_context(summing_up(caches.all))
        if settings.store == "embedded":
            await services.reindexer.resume(access.tenants())
        yield services


def join_services(
    settings: Settings,
    telemetry: Telemetry,
    access: Access,
    store: Store,
    freshness: Freshness,
    pool: ModelPool,
    embedder: Embedder,
    link: Link | None,
    caches: Caches | None,
    stopping: asyncio.Event,
) -> Services:
    """Build the flows over a store, the models and the caches."""
    saved = Saved()
    embedders, for_faq = (_cached(pool, caches, settings, saved) for _ in range(2))
    searching = join_searching(settings, telemetry, store, freshness, embedders, for_faq, caches, saved, link)
    shapes = Shapes(_cached(pool, caches, settings, saved))
    writer = Writer(store, shapes)
    flows: Mapping[Kind, Any] = {"documents": searching.pipeline, "faq": searching.faq}
    comparer = Comparer(flows, searching.warmer.hottest_now, telemetry)
    services = Services(
        settings=settings,
        telemetry=telemetry,
        access=access,
        store=store,
        census=Census(store, access, telemetry),
        embedder=embedder,
        link=link,
        caches=caches,
        saved=saved,
        warmer=searching.warmer,
        planning=searching.planning,
        search=searching.search,
        faq=searching.ask,
        context=ContextBuilder(searching.search, store, pool),
        writer=writer,
        importer=Importer(store, shapes, writer),
        reindexer=Reindexer(store, writer, shapes, comparer, pool.names, freshness.outlast),
        stopping=stopping,
    )
    export_metrics(services, for_faq)
    return services


class _Searching(Struct, frozen=True):
    """Both kinds of search, bare and behind the cache of results."""

    planning: Planning
    pipeline: SearchPipeline
    faq: FaqSearch
    search: Answering[SearchRequest, PreparedSearch]
    ask: Answering[FaqRequest, PreparedFaq]
    warmer: Warmer


def join_searching(
    settings: Settings,
    telemetry: Telemetry,
    store: Store,
    freshness: Freshness,
    embedders: Embedders,
    for_faq: Embedders,
    caches: Caches | None,
    saved: Saved,
    link: Link | None,
) -> _Searching:
    """Build the searches, and what warms them up."""
    popularity, results, admission = Popularity(), caches.result if caches else None, Admission()
    export_admission(admission, telemetry)

    def answering(path: str, flow: Flow[Any, Any], usual_ttl: float, observe: Observe) -> Answering[Any, Any]:
        ttl, deadline = _ttl(settings, usual_ttl), settings.request_deadline_seconds
        return Answering(path, flow, results, freshness, ttl, saved, popularity, admission, deadline, observe)

    def observe_search(answer: Answer, seconds: float) -> None:
        telemetry.observe_answer(answer.tier, seconds)

    def observe_faq(answer: Answer, seconds: float) -> None:
        observe_search(answer, seconds)
        telemetry.observe_faq(answer.outcome, seconds)

    thresholds = WEAVIATE if settings.store == "weaviate" else EMBEDDED
    planning = Planning(store, Refreshing(store, freshness), thresholds, telemetry)
    pipeline = SearchPipeline(store, embedders, planning)
    defaults = FaqDefaults(limit=settings.faq_max_results, minimum_score=settings.faq_min_similarity)
    faq = FaqSearch(store, for_faq, defaults, planning)
    search = answering("/search", pipeline, settings.search_result_cache_ttl_seconds, observe_search)
    ask = answering("/faq/search", faq, settings.faq_result_cache_ttl_seconds, observe_faq)
    warmer = Warmer(
        {"/search": (SearchRequest, search), "/faq/search": (FaqRequest, ask)},
        popularity,
        RedisHotList(link.redis) if link else FileHotList(settings.data_dir / "hot"),
        telemetry,
        settings.warm_queries if caches else 0,
    )
    return _Searching(planning, pipeline, faq, search, ask, warmer)


def _cached(pool: ModelPool, caches: Caches | None, settings: Settings, saved: Saved) -> Embedders:
    """Return the embedders behind their cache; each user of these has counts of its own."""
    ttl = settings.embedding_cache_ttl_seconds
    return CachedEmbedders(pool, caches.embedding, ttl, saved) if caches else pool


def _ttl(settings: Settings, usual: float) -> Callable[[Collection], float]:
    """Return how many seconds results of a collection are kept."""
    return lambda collection: settings.policy_result_cache_ttl_seconds if collection.cache == "policy" else usual


def export_metrics(services: Services, for_faq: Embedders) -> None:
    """Export what the caches count."""
    caches, telemetry = services.caches, services.telemetry
    price = services.settings.embedding_price_per_1000
    export_savings(services.saved, price, telemetry)
    if caches:
        export(caches.all, telemetry)
    if services.link:
        export_redis(services.link.redis, services.link.follower, telemetry)
    if isinstance(for_faq, CachedEmbedders):
        export_faq(for_faq.counts, telemetry)


def load_model(settings: Settings) -> Model:
    """Load the embedding model of the settings; raises ModelUnavailable. Takes up to a second: call it in a thread."""
    prefixes = settings.embedding_query_prefix, settings.embedding_passage_prefix
    if settings.embedding_runtime == "onnx":
        from service.embedders.onnx import load_onnx_model  # noqa: PLC0415  # only the runtime that is used is loaded

        return load_onnx_model(settings.embedding_model, *prefixes)
    from service.embedders.sentence_transformers import load_sentence_transformer  # noqa: PLC0415  # the same

    return load_sentence_transformer(settings.embedding_model, *prefixes)


def model_loaders(settings: Settings) -> Mapping[str, Callable[[], Model]]:
    """Return what loads each model that a reindex may name: the built-in one, and those compiled in the data directory.

    A path that a request gives is never opened.
    """
    from service.embedders.onnx import load_onnx_model  # noqa: PLC0415  # as above

    folders = {folder.name: folder for folder in compiled_folders(settings.data_dir / MODELS)}
    paths = {BUILT_IN: BUILT_IN} | {name: str(folder) for name, folder in folders.items()}
    return {name: partial(load_onnx_model, path) for name, path in paths.items()}
