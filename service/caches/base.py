"""The words of the caches: what is kept, what may be served, and what is said to Redis."""

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal

from msgspec import Struct

Kind = Literal["embedding", "result", "answer", "intent"]
Tier = Literal["memory", "redis"]
Outcome = Literal["hit", "miss", "bypass", "error"]
Command = tuple[bytes | str | int | float, ...]
"""A command of Redis with its arguments."""

TIERS: Final[tuple[Tier, ...]] = ("memory", "redis")
OUTCOMES: Final[tuple[Outcome, ...]] = ("hit", "miss", "bypass", "error")
LAYOUT: Final = "retrieval:v1"
"""Begins the name of every value. Another layout has another number, so that two releases share one Redis."""


class Cached(Struct, frozen=True, kw_only=True):
    """A value as the tiers keep it, with all that decides whether it may still be served."""

    value: bytes
    version: str = ""
    """Of the collection, read before the value was computed; empty where the value depends on nothing that changes."""
    epoch: int = 0
    """Number of the last deletion that was known when the computation began."""
    owner: str = ""
    """Hash of the user for whom it was computed; empty without one."""
    stored: float
    """Unix time in seconds at which it was computed."""
    ttl_seconds: float
    kept: float = 0.0
    """Monotonic time in seconds at which this process took it into memory; not sent to Redis."""


class Replies(Struct, frozen=True):
    """What one server answered, in the order of the commands."""

    run: str
    """Identifies the life of the server that answered: another after a restart and on another server."""
    values: list[Any]


class Demands(Struct, frozen=True):
    """What a caller asks of the caches, by `Cache-Control` and `X-User-ID`."""

    reads: bool = True
    """False: compute it anew."""
    stores: bool = True
    """False: keep nothing of the request, nor of its answer."""
    only_cached: bool = False
    """Fail rather than compute."""
    max_age_seconds: float | None = None
    minimum_version: str | None = None
    """That the caller has seen and what is known does not prove: no computation that began before may be shared."""
    owner: str = ""
    """Hash of the user who asks."""


def digest(*parts: bytes | str) -> str:
    """Return 32 hexadecimal digits that stand for the parts, each with its length."""
    whole = [part.encode() if isinstance(part, str) else part for part in parts]
    return blake2b(b"".join(b"%d:%b" % (len(part), part) for part in whole), digest_size=16).hexdigest()


@lru_cache(maxsize=4096)
def tenant_name(tenant: str) -> str:
    """Return what stands for a tenant in names of Redis."""
    return digest(tenant)


@lru_cache(maxsize=4096)
def ledger_name(tenant: str, collection: str) -> str:
    """Return what stands for a tenant's collection in names of Redis."""
    return digest(tenant, collection)


def key_prefix(kind: Kind, tenant: str, collection: str | None) -> str:
    """Return how the keys of all values begin that are of this kind, tenant and, where it is given, collection."""
    prefix = f"{LAYOUT}:{kind}:{tenant_name(tenant)}:"
    return f"{prefix}{ledger_name(tenant, collection)}:" if collection else prefix
