"""What cached values take in Redis, and what half precision costs."""

from collections.abc import Sequence

import numpy as np
import redis
from numpy.typing import NDArray

from scripts.bench.caches.passages import model, questions
from scripts.bench.figures import Figure, median
from service.caches.vectors import rounded
from tests.tools.servers import RunningRedis

PASSAGES = 1_500
QUERIES = 200
TOP = 10


def sizes(server: RunningRedis, bodies: Sequence[bytes]) -> list[Figure]:
    """Measure all values of a Redis that holds the results with these bodies, and the embeddings of their queries."""
    with redis.Redis(port=server.port) as client:
        results = [*client.scan_iter("retrieval:v1:result:*")]
        embeddings = [*client.scan_iter("retrieval:v1:embedding:*")]
        lengths = [client.strlen(key) for key in embeddings]
        usages = [client.memory_usage(key) or 0 for key in embeddings]
        kept = sum(client.strlen(key) for key in results)
    if len(results) != len(bodies):
        raise RuntimeError(f"{len(bodies)} answers, but {len(results)} are in Redis")
    return [
        Figure("an embedding in Redis, its value", median(lengths), "bytes", goal=800),
        Figure("an embedding in Redis, all it takes there", median(usages), "bytes", goal=800),
        Figure("results in Redis, smaller by", 100 * (1 - kept / sum(map(len, bodies))), "%", goal=60, is_least=True),
    ]


def overlap() -> Figure:
    """Compare the ten nearest of real questions, all vectors as the cache keeps them, with those of full precision."""
    vectors = model().encode(questions()[: QUERIES + PASSAGES])
    full, half = _nearest(vectors), _nearest(rounded(vectors))
    common = [len({*one} & {*other}) for one, other in zip(full.tolist(), half.tolist(), strict=True)]
    return Figure("overlap@10 of cached embeddings", sum(common) / TOP / QUERIES, goal=0.99, is_least=True)


def _nearest(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    similarities = vectors[:QUERIES] @ vectors[QUERIES:].T
    nearest: NDArray[np.int64] = np.argsort(-similarities, axis=1)[:, :TOP]
    return nearest
