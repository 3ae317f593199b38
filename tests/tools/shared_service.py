"""The service on a store that several processes share: `serve` as it is, but for its damages. Tests start and kill it.

Beside RETRIEVAL_*, it reads SHARED_STORE, the directory of the store, and switches that tests put: SHARED_RELEASE makes
it another release, SHARED_BREAKS takes a part of the protocol away, SHARED_DIES kills it in the middle of a write.
"""

import math
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from service import wiring
from service.caches import codec
from service.caches.following import Follower
from service.caches.freshness import Freshness, SharedVersions
from service.caches.ledgers import RedisVersions
from service.caches.opening import Link
from service.commands.serve import serve_until_told
from service.logs import configure_logging
from service.models import Collection
from service.settings import Settings, load_settings
from service.stores.base import EmbeddedDocument, Store
from service.stores.versioned import VersionedStore
from service.stores.weaviate.store import WeaviateStore
from service.telemetry import Telemetry
from tests.tools.shared_store import SharedStore, open_shared_store


@asynccontextmanager
async def open_store(
    settings: Settings, dimensions: int, link: Link | None, telemetry: Telemetry
) -> AsyncIterator[tuple[Store, Freshness]]:
    """Open the shared store, with versions that Redis keeps; or Weaviate, as the service does."""
    assert link is not None
    if settings.store == "weaviate":
        async with wiring.open_store(settings, dimensions, link, telemetry) as opened:
            yield opened
        return
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_shared_store(Path(os.environ["SHARED_STORE"])))
        versions = RedisVersions(link.redis, link.follower, writes=settings.writes_without_redis)
        stack.push_async_callback(versions.close)
        yield VersionedStore(store, versions), SharedVersions(versions, settings.settling_seconds)


def become_release(number: int) -> None:
    """Give values other names and other meanings: what a release does that changes them."""
    _set_everywhere("LAYOUT", f"retrieval:v{number}")
    _set_everywhere("SEMANTICS", str(number))


def change_format() -> None:
    """Keep values under the same names in another format, as a release does that knows of no older one."""
    seeds = {layout + 16: seed for layout, seed in codec.SEEDS.items()}
    for name, value in (("PLAIN", codec.PLAIN + 16), ("COMPRESSED", codec.COMPRESSED + 16), ("SEEDS", seeds)):
        setattr(codec, name, value)


def follow_nothing() -> None:
    """Believe for ever what was once read, and hear of no change."""

    async def enter(follower: Follower) -> Follower:
        return follower

    _set_everywhere("TRUST_SECONDS", math.inf)
    Follower.__aenter__ = enter  # type: ignore[assignment,method-assign]  # that is the damage


def raise_nothing() -> None:
    """Write without raising the version, nor when another's write is seen."""

    async def write(self: VersionedStore, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        await self._store.write(collection, documents)
        return collection.version

    async def settle(self: RedisVersions, name: str) -> None:
        del self, name

    VersionedStore.write = write  # type: ignore[method-assign]  # that is the damage
    RedisVersions.settle = settle  # type: ignore[method-assign]  # the same


def die_after_write(identifier: str) -> None:
    """Die when this document is in the store, before the write is committed."""
    for store in (SharedStore, WeaviateStore):
        setattr(store, "write", _dying(store.write, identifier))  # noqa: B010  # that is the damage, and no type fits it


def prove_everything() -> None:
    """Take what is known for as new as any caller asks."""
    follow_nothing()
    SharedVersions.proves = lambda *_: True  # type: ignore[method-assign]  # that is the damage


DAMAGES = {"following": follow_nothing, "raising": raise_nothing, "proving": prove_everything}


def main() -> None:
    if release := os.environ.get("SHARED_RELEASE"):
        become_release(int(release))
    if os.environ.get("SHARED_FORMAT"):
        change_format()
    if damage := os.environ.get("SHARED_BREAKS"):
        DAMAGES[damage]()
    if identifier := os.environ.get("SHARED_DIES"):
        die_after_write(identifier)
    settings, warnings = load_settings(os.environ)
    assert not warnings
    configure_logging(settings.log_level)
    uvloop.run(serve_until_told(settings, Telemetry(), open_store))


def _dying(write: Callable[..., Awaitable[str]], identifier: str) -> Callable[..., Awaitable[str]]:
    async def write_and_die(store: Store, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
        version = await write(store, collection, documents)
        if identifier in {document.record.id for document in documents}:
            os._exit(9)
        return version

    return write_and_die


def _set_everywhere(name: str, value: Any) -> None:
    """Give a constant another value in each module that has it."""
    for module in [*sys.modules.values()]:
        if getattr(module, "__name__", "").startswith("service.") and name in vars(module):
            setattr(module, name, value)


if __name__ == "__main__":
    main()
