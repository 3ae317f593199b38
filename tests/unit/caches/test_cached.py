import asyncio

import msgspec
import pytest

from service.caches.cache import Terms
from service.caches.cached import cached
from tests.unit.caches.test_cache import cache_of

pytestmark = pytest.mark.anyio

TERMS = Terms(tenant="t", ttl_seconds=60)


class Price(msgspec.Struct):
    currency: str
    amount: float


async def test_a_function_runs_once_for_the_same_arguments_however_they_are_given() -> None:
    calls: list[str] = []

    @cached(cache_of(), TERMS)
    async def price_of(currency: str, amount: float = 1.5) -> Price:
        calls.append(currency)
        await asyncio.sleep(0)
        return Price(currency, amount)

    found = [await price_of("EUR"), await price_of(currency="EUR"), await price_of("EUR", 1.5)]
    assert found == [Price("EUR", 1.5)] * 3
    assert await price_of("EUR", 2) == Price("EUR", 2)
    assert calls == ["EUR", "EUR"]


async def test_two_functions_share_no_values() -> None:
    cache = cache_of()

    @cached(cache, TERMS)
    async def twice(number: int) -> int:
        return 2 * number

    @cached(cache, TERMS)
    async def thrice(number: int) -> int:
        return 3 * number

    assert (await twice(2), await thrice(2)) == (4, 6)


async def test_tenants_share_no_values() -> None:
    cache, calls = cache_of(), []

    async def name_of(number: int) -> str:
        calls.append(number)
        return f"name {number}"

    for tenant in ("one", "two", "one"):
        await cached(cache, Terms(tenant=tenant, ttl_seconds=60))(name_of)(1)
    assert len(calls) == 2


async def test_an_error_is_not_kept() -> None:
    outcomes = iter([ValueError("not yet"), None])

    @cached(cache_of(), TERMS)
    async def flaky() -> str:
        if error := next(outcomes):
            raise error
        return "well"

    with pytest.raises(ValueError, match="not yet"):
        await flaky()
    assert await flaky() == "well"
