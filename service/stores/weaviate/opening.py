"""Joins the parts of the store over Weaviate."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from service.stores.weaviate.accounts import export_nodes
from service.stores.weaviate.administration import open_administration
from service.stores.weaviate.calls import Calls
from service.stores.weaviate.catalog import Catalog
from service.stores.weaviate.nodes import open_nodes
from service.stores.weaviate.store import WeaviateStore
from service.telemetry import Telemetry


@asynccontextmanager
async def open_weaviate_store(
    urls: Sequence[str],
    addresses: Sequence[str],
    telemetry: Telemetry | None = None,
    *,
    api_key: str = "",
    replication: int = 1,
    consistency: str = "quorum",
    budget_seconds: float = 1.0,
) -> AsyncIterator[WeaviateStore]:
    """Reach a Weaviate at the addresses of its nodes, or at one that stands for all; nothing is asked of it yet."""
    is_secure = urls[0].startswith("https:")
    async with (
        open_nodes(addresses, api_key, budget_seconds=budget_seconds, is_secure=is_secure) as nodes,
        open_administration(urls, api_key, budget_seconds, nodes.check) as administration,
    ):
        if telemetry:
            export_nodes(nodes, telemetry)
        calls = Calls(nodes, consistency)
        catalog = Catalog(calls, administration, consistency.upper())
        yield WeaviateStore(calls, administration, catalog, replication)
