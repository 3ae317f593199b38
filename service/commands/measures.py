"""How good a ranking is, and how long it took: pure functions over document ids and times."""

import math
from collections.abc import Iterable, Mapping, Sequence

Grades = Mapping[str, float]
"""Document id to how relevant it is; 0, or absent, is not relevant."""


def first_ranks(documents: Iterable[str]) -> list[str]:
    """Reduce the documents of ranked passages to one mention each, at its best rank."""
    return list(dict.fromkeys(documents))


def recall(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """Return the share of the relevant documents that the first k hold; 0 where none is relevant."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    return len(relevant & set(ranking[:k])) / len(relevant) if relevant else 0.0


def ndcg(ranking: Sequence[str], grades: Grades, k: int) -> float:
    """Return the normalised discounted cumulative gain of the first k; 0 where no document is relevant.

    The gain of a document is its grade itself, as in trec_eval, and not 2 to its power: with grades of 0 and 1, the
    same.
    """
    ideal = _discounted(sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k])
    return _discounted([max(0.0, grades.get(document, 0)) for document in ranking[:k]]) / ideal if ideal else 0.0


def reciprocal_rank(ranking: Sequence[str], grades: Grades) -> float:
    """Return 1 by the rank of the first relevant document; 0 where there is none."""
    ranks = (rank for rank, document in enumerate(ranking, start=1) if grades.get(document, 0) > 0)
    return 1 / next(ranks, math.inf)


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of all do not exceed (nearest rank); 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
