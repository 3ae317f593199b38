"""Settings to objects: the one place where adapters are chosen and joined."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from service.embedders.base import Embedder, Model
from service.embedders.batching import open_embedder
from service.ingest.importer import Importer
from service.search.context import ContextBuilder
from service.search.faq import FaqDefaults, FaqSearch
from service.search.pipeline import SearchPipeline
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
    pipeline: SearchPipeline
    faq: FaqSearch
    context: ContextBuilder
    importer: Importer


@asynccontextmanager
async def open_services(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Services]:
    """Open the model and the store, do the first inference, and close both at the end."""
    async with AsyncExitStack() as stack:
        model = await asyncio.to_thread(load_model, settings)
        embedder = await stack.enter_async_context(open_embedder(model))
        await embedder.embed(["the first inference"], "query")
        store = await stack.enter_async_context(
            open_embedded_store(
                settings.data_dir,
                dimensions=embedder.card.dimensions,
                index_at=settings.embedded_index_at,
            ),
        )
        yield join_services(settings, telemetry, store, embedder)


def join_services(settings: Settings, telemetry: Telemetry, store: Store, embedder: Embedder) -> Services:
    """Build the flows over a store and an embedder."""
    deadline = settings.request_deadline_seconds
    pipeline = SearchPipeline(store, embedder, deadline)
    defaults = FaqDefaults(limit=settings.faq_max_results, minimum_score=settings.faq_min_similarity)
    return Services(
        settings=settings,
        telemetry=telemetry,
        store=store,
        embedder=embedder,
        pipeline=pipeline,
        faq=FaqSearch(store, embedder, defaults, deadline),
        context=ContextBuilder(pipeline, store, embedder),
        importer=Importer(store, embedder),
    )


def load_model(settings: Settings) -> Model:
    """Load the embedding model of the settings; raises ModelUnavailable. Takes up to a second: call it in a thread."""
    prefixes = settings.embedding_query_prefix, settings.embedding_passage_prefix
    if settings.embedding_runtime == "onnx":
        from service.embedders.onnx import load_onnx_model  # noqa: PLC0415  # only the runtime that is used is loaded

        return load_onnx_model(settings.embedding_model, *prefixes)
    from service.embedders.sentence_transformers import load_sentence_transformer  # noqa: PLC0415  # the same

    return load_sentence_transformer(settings.embedding_model, *prefixes)
