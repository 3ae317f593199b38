"""A decorator: caches a function whose arguments are all that its value depends on."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar, get_type_hints

import msgspec

from service.caches.base import digest, key_prefix
from service.caches.cache import Cache, Computed, Terms

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def cached(
    cache: Cache, terms: Terms
) -> Callable[[Callable[Arguments, Awaitable[Value]]], Callable[Arguments, Awaitable[Value]]]:
    """Keep what a function returns under its name and arguments, as MessagePack.

    The arguments must be of types that msgspec encodes, the returned type must be annotated: what is found is decoded
    to it. A new cached thing is three lines:

        @cached(caches.result, Terms(tenant=tenant, ttl_seconds=60))
        async def price_of(currency: str) -> float:
            ...
    """

    def decorate(function: Callable[Arguments, Awaitable[Value]]) -> Callable[Arguments, Awaitable[Value]]:
        signature, kind = inspect.signature(function), get_type_hints(function)["return"]
        name = f"{function.__module__}.{function.__qualname__}"
        decoder = msgspec.msgpack.Decoder(kind)

        @wraps(function)
        async def call(*positional: Arguments.args, **named: Arguments.kwargs) -> Value:
            bound = signature.bind(*positional, **named)
            bound.apply_defaults()
            arguments = msgspec.msgpack.encode(bound.arguments, order="deterministic")
            key = key_prefix(cache.kind, terms.tenant, terms.collection) + digest(terms.tenant, name, arguments)

            async def compute(_: list[int]) -> list[Computed]:
                return [Computed(msgspec.msgpack.encode(await function(*positional, **named)))]

            (found,) = await cache.get_or_compute([key], terms, compute)
            value: Value = decoder.decode(found.cached.value)
            return value

        return call

    return decorate
