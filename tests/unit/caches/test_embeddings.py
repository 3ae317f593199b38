from collections.abc import Sequence

import numpy as np
import pytest
from msgspec import structs
from tokenizers import Tokenizer

from service.caches.accounts import Saved
from service.caches.embeddings import CachedEmbedder
from service.embedders.base import ModelCard, Purpose, Vectors
from service.embedders.builtin import read_builtin
from tests.unit.caches.fakes import DictTier
from tests.unit.caches.test_cache import cache_of

pytestmark = pytest.mark.anyio

CARD = ModelCard(name="counting", revision="1", dimensions=8, window=64)


class Counting:
    """Embeds every text in its own way, and counts them."""

    def __init__(self, card: ModelCard = CARD) -> None:
        self.card = card
        self.tokenizer: Tokenizer = read_builtin().tokenizer
        self.embedded: list[str] = []

    async def embed(self, texts: Sequence[str], purpose: Purpose, _: str | None = None) -> Vectors:
        self.embedded += texts
        seeds = [sum(map(ord, text + purpose)) for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds]).astype(np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def is_truncated(self, *_: object) -> bool:
        return False


async def test_cached_and_computed_are_the_same_numbers() -> None:
    shared = DictTier()
    cache = cache_of(shared, kind="embedding")
    embedder = CachedEmbedder(Counting(), cache, 60, Saved())
    computed = await embedder.embed(["a", "b"], "query", "t")
    from_memory = await embedder.embed(["a", "b"], "query", "t")
    await cache.close()
    other = CachedEmbedder(Counting(), cache_of(shared, kind="embedding"), 60, Saved())
    from_redis = await other.embed(["a", "b"], "query", "t")
    uncached = await embedder.embed(["a", "b"], "query")
    assert np.array_equal(computed, from_memory)
    assert np.array_equal(computed, from_redis)
    assert np.array_equal(computed, uncached)
    assert np.allclose(np.linalg.norm(computed, axis=1), 1, atol=1e-6)


async def test_only_what_is_missing_is_embedded() -> None:
    counting, saved = Counting(), Saved()
    embedder = CachedEmbedder(counting, cache_of(kind="embedding"), 60, saved)
    await embedder.embed(["a", "b"], "query", "t")
    await embedder.embed(["b", "c", "c", "a"], "query", "t")
    assert sorted(counting.embedded) == ["a", "b", "c"]
    assert (embedder.counts["hit"], saved.embeddings) == (2, 2)


@pytest.mark.parametrize(
    ("tenant", "purpose", "revision"), [("other", "query", "1"), ("t", "passage", "1"), ("t", "query", "2")]
)
async def test_tenants_purposes_and_models_share_nothing(tenant: str, purpose: Purpose, revision: str) -> None:
    cache = cache_of(kind="embedding")
    await CachedEmbedder(Counting(), cache, 60, Saved()).embed(["a"], "query", "t")
    counting = Counting(structs.replace(CARD, revision=revision))
    await CachedEmbedder(counting, cache, 60, Saved()).embed(["a"], purpose, tenant)
    assert counting.embedded == ["a"]


async def test_nobodys_texts_are_kept_nowhere() -> None:
    cache = cache_of(kind="embedding")
    embedder = CachedEmbedder(Counting(), cache, 60, Saved())
    await embedder.embed(["a"], "query", None)
    assert cache.memory.entries == 0


async def test_a_foreign_value_under_our_key_is_computed_anew() -> None:
    cache, counting = cache_of(kind="embedding"), Counting()
    embedder = CachedEmbedder(counting, cache, 60, Saved())
    right = await embedder.embed(["a"], "query", "t")
    ((key, cached),) = cache.memory.items()
    cache.memory.put(key, structs.replace(cached, value=b"too short"))
    assert np.array_equal(await embedder.embed(["a"], "query", "t"), right)
