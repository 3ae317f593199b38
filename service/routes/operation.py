"""`/health`, `/metrics`: what platforms and SREs ask."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from msgspec import Struct
from msgspec.structs import replace

from service.errors import RedisUnavailable, Stopping, StoreUnavailable, SwitchedOff
from service.routes.problems import documented_open
from service.wiring import Services

NOBODY = ""
"""A tenant that there cannot be: to list what it has is one small call of the store, and none of Redis."""


class DependencyHealth(Struct, frozen=True):
    """Whether a dependency answers, and how quickly."""

    up: bool
    latency_ms: float
    breaker: Literal["closed", "open"] = "closed"
    """Open: it failed, and is left alone but for a probe a second."""


class Health(Struct, frozen=True):
    """The service and what it depends on."""

    status: str
    dependencies: dict[str, DependencyHealth]
    caches: Literal["on", "off"]


class Alive(Struct, frozen=True):
    """The answer of a probe."""

    status: str


@get("/health", responses=documented_open(500))
async def health(services: NamedDependency[Services]) -> Health:
    """Say of each dependency whether it is up; always 200, for people and dashboards."""
    dependencies = await _dependencies(services)
    is_up = all(dependency.up for dependency in dependencies.values())
    return Health("ok" if is_up else "degraded", dependencies, "on" if services.caches else "off")


@get("/health/live")
async def live() -> Alive:
    """Answer as long as the process does."""
    return Alive("live")


@get("/health/ready", responses=documented_open(503))
async def ready(services: NamedDependency[Services]) -> Alive:
    """Answer once this process can serve: the model has made its first inference, the store is open; until it stops."""
    if services.stopping.is_set():
        raise Stopping("The service stops: it ends what it has begun, and takes no new callers.")
    return Alive(f"ready: {services.embedder.card.name}")


@get("/metrics", media_type=MediaType.TEXT, responses=documented_open(404))
async def metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """Return the metrics in Prometheus' text format."""
    if not services.settings.metrics_enabled:
        raise SwitchedOff("Metrics are switched off by RETRIEVAL_METRICS_ENABLED.")
    await asyncio.gather(services.census.take(), _measure_dependencies(services))
    content, content_type = services.telemetry.exposition()
    # Litestar adds the charset once more where one is given.
    return Response(content, media_type=content_type.removesuffix("; charset=utf-8"))


async def _answers(call: Callable[[], Awaitable[object]]) -> DependencyHealth:
    start = time.perf_counter()
    is_up = True
    try:
        await call()
    except (StoreUnavailable, RedisUnavailable):
        is_up = False
    return DependencyHealth(is_up, round((time.perf_counter() - start) * 1000, 3))


async def _measure_dependencies(services: Services) -> None:
    for name, dependency in (await _dependencies(services)).items():
        services.telemetry.dependency_up.labels(name).set(dependency.up)


async def _dependencies(services: Services) -> dict[str, DependencyHealth]:
    is_left_alone = services.telemetry.is_left_alone
    store = await _answers(lambda: services.store.collections(NOBODY))
    dependencies = {"store": replace(store, breaker="open" if is_left_alone(services.settings.store) else "closed")}
    if services.link:
        link = services.link.redis
        redis = await _answers(lambda: link.run("health", ("PING",)))
        dependencies["redis"] = replace(redis, breaker="open" if is_left_alone("redis") else "closed")
    return dependencies
