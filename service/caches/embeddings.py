"""The cache of embeddings: immutable, so valid whatever else fails."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from service.caches.accounts import Saved
from service.caches.base import Demands, Tier, digest, key_prefix
from service.caches.cache import Cache, Computed, Terms
from service.caches.vectors import from_bytes, rounded, to_bytes
from service.embedders.base import Embedder, Embedders, Purpose, Vectors


class CachedEmbedder:
    """An Embedder before which embeddings are looked up. What is cached and what is computed are the same numbers."""

    def __init__(
        self,
        embedder: Embedder,
        cache: Cache,
        ttl_seconds: float,
        saved: Saved,
        counts: Counter[str] | None = None,
    ) -> None:
        self.card = embedder.card
        self.tokenizer = embedder.tokenizer
        self.counts: Counter[str] = Counter() if counts is None else counts
        """Texts by `hit` and `miss`, of whoever uses this object."""
        self._embedder = embedder
        self._cache = cache
        self._ttl_seconds = ttl_seconds
        self._saved = saved

    async def embed(self, texts: Sequence[str], purpose: Purpose, tenant: str | None = None) -> Vectors:
        """Embed texts; those of nobody (`tenant` None) are neither looked up nor kept."""
        if tenant is None or not texts:
            return rounded(await self._embedder.embed(texts, purpose))

        async def compute(places: list[int]) -> list[Computed]:
            vectors = await self._embedder.embed([texts[place] for place in places], purpose)
            return [Computed(to_bytes(vector)) for vector in vectors]

        terms = Terms(tenant=tenant, ttl_seconds=self._ttl_seconds, demands=Demands())
        found = await self._cache.get_or_compute([self._key(text, purpose, tenant) for text in texts], terms, compute)
        self._count(texts, [one.tier for one in found])
        try:
            return np.stack([from_bytes(one.cached.value, self.card.dimensions) for one in found])
        except ValueError:  # somebody else's value under our key
            return rounded(await self._embedder.embed(texts, purpose))

    def is_truncated(self, text: str, purpose: Purpose) -> bool:
        return self._embedder.is_truncated(text, purpose)

    def _key(self, text: str, purpose: Purpose, tenant: str) -> str:
        return f"{key_prefix('embedding', tenant, None)}{digest(tenant, self.card.fingerprint, purpose, text)}"

    def _count(self, texts: Sequence[str], tiers: Sequence[Tier | None]) -> None:
        for text, tier in zip(texts, tiers, strict=True):
            self.counts["hit" if tier else "miss"] += 1
            if tier:
                self._saved.spare_embedding(text)


class CachedEmbedders:
    """The Embedders port with the cache before each; `counts` are those of all together."""

    def __init__(self, embedders: Embedders, cache: Cache, ttl_seconds: float, saved: Saved) -> None:
        self.counts: Counter[str] = Counter()
        self._embedders = embedders
        self._cache = cache
        self._ttl_seconds = ttl_seconds
        self._saved = saved
        self._cached: dict[str, CachedEmbedder] = {}

    async def of(self, model: str) -> Embedder:
        if found := self._cached.get(model):
            return found
        embedder = await self._embedders.of(model)
        cached = CachedEmbedder(embedder, self._cache, self._ttl_seconds, self._saved, self.counts)
        return self._cached.setdefault(model, cached)
