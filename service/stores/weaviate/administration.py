"""What Weaviate takes over HTTP alone: its classes, their properties and tenants, and objects read from a quorum."""

from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from service.errors import StoreUnavailable

LONGEST_SECONDS: Final = 10.0
"""A change of the schema is agreed on by all nodes."""
OK: Final = 300
NOT_FOUND: Final = 404
UNPROCESSABLE: Final = 422


class Administration:
    """Calls to the first of the nodes that answers; which one that was is tried first the next time."""

    def __init__(self, client: httpx.AsyncClient, urls: Sequence[str], read_seconds: float) -> None:
        self._client = client
        self._urls = [url.rstrip("/") for url in urls]
        self._read_seconds = read_seconds

    async def create_class(self, definition: dict[str, Any]) -> None:
        """Create a class, or the properties of it that are missing."""
        name = definition["class"]
        existing = await self._call("GET", f"/v1/schema/{name}", accept={NOT_FOUND})
        if existing is None:
            created = await self._call("POST", "/v1/schema", definition, accept={UNPROCESSABLE})
            if created is not None:
                return
            existing = await self._call("GET", f"/v1/schema/{name}") or {}  # another process was faster
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
        found = await self._call("GET", path, accept={NOT_FOUND}, seconds=self._read_seconds)
        return None if found is None else found["properties"]

    async def remove_object(self, name: str, identifier: str, consistency: str) -> None:
        """Remove an object; nothing happens where there is none."""
        path = f"/v1/objects/{name}/{identifier}?consistency_level={consistency}"
        await self._call("DELETE", path, accept={NOT_FOUND})

    async def _create_property(self, name: str, definition: dict[str, Any]) -> None:
        created = await self._call("POST", f"/v1/schema/{name}/properties", definition, accept={UNPROCESSABLE})
        if created is not None:
            return
        existing = await self._call("GET", f"/v1/schema/{name}") or {}
        if definition["name"] not in {one["name"] for one in existing["properties"]}:
            raise StoreUnavailable(f"Weaviate does not take the property {definition['name']} of {name}.")

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        accept: AbstractSet[int] = frozenset(),
        seconds: float = LONGEST_SECONDS,
    ) -> Any:
        """Return the decoded answer, or None for a status in `accept`; raises StoreUnavailable for any other."""
        failure = "no address is known"
        for url in list(self._urls):
            try:
                response = await self._client.request(method, url + path, json=body, timeout=seconds)
            except httpx.HTTPError as error:
                failure = f"{url}: {str(error) or type(error).__name__}"
                self._urls.append(self._urls.pop(self._urls.index(url)))
                continue
            if response.status_code in accept:
                return None
            if response.status_code < OK:
                return response.json() if response.content else {}
            failure = f"{url}: {response.status_code} {response.text[:300]}"
        raise StoreUnavailable(f"Weaviate does not answer: {failure}")


@asynccontextmanager
async def open_administration(urls: Sequence[str], api_key: str, read_seconds: float) -> AsyncIterator[Administration]:
    """Reach the nodes over HTTP; nothing is called before it is needed. A node has so long to read an object."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        yield Administration(client, urls, read_seconds)
