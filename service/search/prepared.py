"""A request that passed all checks, and the one name of everything that means the same."""

import msgspec
from msgspec import Struct

from service.caches.base import digest, key_prefix
from service.models import Collection
from service.stores.filters import Filter

SEMANTICS = "1"
"""Raise it with every change of what the same request answers over the same content: fusion, analysers, defaults."""


class Prepared(Struct, frozen=True, kw_only=True):
    """What all searches have in common."""

    collection: Collection
    query: str
    where: Filter | None
    minimum_version: str | None
    """That the caller has seen."""

    @property
    def meaning(self) -> tuple[object, ...]:
        """All else that the answer depends on; what makes no difference is left out."""
        raise NotImplementedError

    @property
    def is_embedded(self) -> bool:
        """Whether the query has to be embedded."""
        return True

    @property
    def key(self) -> str:
        """Name of the answer in the caches: equal for requests that mean the same, of one tenant."""
        tenant, name = self.collection.tenant, self.collection.name
        meant = msgspec.msgpack.encode((self.query, self.where, *self.meaning))
        index = f"{SEMANTICS}:{self.collection.kind}:{self.collection.generation}"
        return f"{key_prefix('result', tenant, name)}{digest(tenant, name, index, meant)}"
