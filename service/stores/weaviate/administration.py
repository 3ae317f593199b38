"""What Weaviate takes over HTTP alone: its classes, their properties and tenants, and objects read from a quorum."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from service.errors import StoreUnavailable

LONGEST_SECONDS: Final = 10.0
"""A change of the schema is agreed on by all nodes."""
LATE_SECONDS: Final = 0.25
"""After which a read is sent to the next node too."""
OK: Final = 300
NOT_FOUND: Final = 404
UNPROCESSABLE: Final = 422


class Administration:
    """Calls to the first of the nodes that answers; which one that was is tried first the next time.

    `check` raises where all are left alone: then none is called.
    """

    def __init__(
        self, client: httpx.AsyncClient, urls: Sequence[str], read_seconds: float, check: Callable[[], None]
    ) -> None:
        self._client = client
        self._urls = [url.rstrip("/") for url in urls]
        self._read_seconds = read_seconds
        self._check = check

    async def create_class(self, definition: dict[str, Any]) -> None:
        """Create a class, or the properties of it that are missing."""
        name = definition["class"]
        existing = await self._read(f"/v1/schema/{name}", accept={NOT_FOUND})
        if existing is None:
            created = await self._call("POST", "/v1/schema", definition, accept={UNPROCESSABLE})
            if created is not None:
                return
            existing = await self._read(f"/v1/schema/{name}")  # another process was faster
        known = {one["name"] for one in existing["properties"]}
        for one in definition["properties"]:
            if one["name"] not in known:
                await self._create_property(name, one)

    async def create_tenant(self, name: str, tenant: str) -> None:
        """Create a tenant of a class."""
        await self._call("POST", f"/v1/schema/{name}/tenants", [{"name": tenant}])

    async def remove_tenant(self, name: str, tenant: str) -> None:
        """Remove a tenant of a class with all it holds; nothing happens where there is none."""
        await self._call("DELETE", f"/v1/schema/{name}/tenants", [tenant], accept={NOT_FOUND, UNPROCESSABLE})

    async def read_object(self, name: str, identifier: str, consistency: str) -> dict[str, Any] | None:
        """Return the properties of an object as so many replicas agree on; None where there is none."""
        path = f"/v1/objects/{name}/{identifier}?consistency_level={consistency}"
        found = await self._read(path, accept={NOT_FOUND}, seconds=self._read_seconds)
        return None if found is None else found["properties"]

    async def remove_object(self, name: str, identifier: str, consistency: str) -> None:
        """Remove an object; nothing happens where there is none."""
        path = f"/v1/objects/{name}/{identifier}?consistency_level={consistency}"
        await self._call("DELETE", path, accept={NOT_FOUND})

    async def _create_property(self, name: str, definition: dict[str, Any]) -> None:
        created = await self._call("POST", f"/v1/schema/{name}/properties", definition, accept={UNPROCESSABLE})
        if created is not None:
            return
        existing = await self._read(f"/v1/schema/{name}")
        if definition["name"] not in {one["name"] for one in existing["properties"]}:
            raise StoreUnavailable(f"Weaviate does not take the property {definition['name']} of {name}.")

    async def _call(self, method: str, path: str, body: object = None, accept: AbstractSet[int] = frozenset()) -> Any:
        """Return the decoded answer, or None for a status in `accept`; raises StoreUnavailable for any other."""
        self._check()
        failures = []
        for url in list(self._urls):
            try:
                found = await self._ask(method, url, path, body, accept, LONGEST_SECONDS)
            except StoreUnavailable as error:
                failures.append(str(error))
            else:
                self._prefer(url)
                return found
        raise StoreUnavailable(f"Weaviate does not answer: {failures[-1]}")

    async def _read(self, path: str, accept: AbstractSet[int] = frozenset(), seconds: float = LONGEST_SECONDS) -> Any:
        """Return as `_call` what is answered first: the next node is asked too where one is late, or not well."""
        self._check()
        ends = time.monotonic() + seconds
        left, failures = list(self._urls), [""]
        asked: dict[asyncio.Task[Any], str] = {}
        try:
            while left or asked:
                if left:
                    url = left.pop(0)
                    asking = self._ask("GET", url, path, None, accept, ends - time.monotonic())
                    asked[asyncio.create_task(asking)] = url
                late = LATE_SECONDS if left else None
                await asyncio.wait(asked, timeout=late, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in asked if task.done()]:
                    url = asked.pop(task)
                    try:
                        found = await task
                    except StoreUnavailable as error:
                        failures.append(str(error))
                    else:
                        self._prefer(url)
                        return found
        finally:
            for task in asked:
                task.add_done_callback(_retrieve)
                task.cancel()
        raise StoreUnavailable(f"Weaviate does not answer: {failures[-1]}")

    async def _ask(
        self, method: str, url: str, path: str, body: object, accept: AbstractSet[int], seconds: float
    ) -> Any:
        """Ask one node, in so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                response = await self._client.request(method, url + path, json=body, timeout=seconds)
            if response.status_code in accept:
                return None
            if response.status_code < OK:
                return response.json() if response.content else {}
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            raise StoreUnavailable(f"{url}: {str(error) or type(error).__name__}") from error
        raise StoreUnavailable(f"{url}: {response.status_code} {response.text[:300]}")

    def _prefer(self, url: str) -> None:
        """Begin with the node that answered."""
        if url != self._urls[0]:
            self._urls.remove(url)
            self._urls.insert(0, url)


@asynccontextmanager
async def open_administration(
    urls: Sequence[str], api_key: str, read_seconds: float, check: Callable[[], None] = lambda: None
) -> AsyncIterator[Administration]:
    """Reach the nodes over HTTP; nothing is called before it is needed. A node has so long to read an object."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        yield Administration(client, urls, read_seconds, check)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take note of how a call ended that another one overtook."""
    if not task.cancelled():
        task.exception()
