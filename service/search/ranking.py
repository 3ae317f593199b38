"""Fusing the two legs into one order. Pure: no I/O, the same for every store."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from service.models import Fusion, Match

RRF_CONSTANT = 60
"""Cormack, Clarke and Buettcher, Reciprocal Rank Fusion (SIGIR 2009)."""


class Ranked(Struct, frozen=True):
    """A passage's place in the order: its id and what a hit says of its scores."""

    id: str
    score: float
    vector_score: float | None
    keyword_score: float | None


def relative_scores(matches: Sequence[Match]) -> dict[str, float]:
    """Scale a leg's scores to 0..1 between its worst and best; all 1 where they are equal."""
    if not matches:
        return {}
    scores = [match.score for match in matches]
    low, span = min(scores), max(scores) - min(scores)
    return {match.id: (match.score - low) / span if span else 1.0 for match in matches}


def reciprocal_ranks(matches: Sequence[Match]) -> dict[str, float]:
    """Score the leg's matches by their rank alone, best first."""
    return {match.id: 1 / (RRF_CONSTANT + rank) for rank, match in enumerate(matches, start=1)}


def fuse(vector: Sequence[Match], keyword: Sequence[Match], alpha: float, fusion: Fusion) -> Iterator[Ranked]:
    """Yield the passages of both legs by their weighted scores, best first; ties by passage id.

    `alpha` weighs the vector leg, 1 - alpha the keyword leg; a leg without the passage contributes 0.
    """
    scale = relative_scores if fusion == "relative" else reciprocal_ranks
    by_vector, by_keyword = scale(vector), scale(keyword)
    fused = {
        identifier: alpha * by_vector.get(identifier, 0.0) + (1 - alpha) * by_keyword.get(identifier, 0.0)
        for identifier in by_vector | by_keyword
    }
    return _ordered(vector, keyword, fused)


def rank_leg(vector: Sequence[Match], keyword: Sequence[Match]) -> Iterator[Ranked]:
    """Yield the passages of one leg, the other being empty, by the leg's own scores."""
    return _ordered(vector, keyword, {match.id: match.score for match in (*vector, *keyword)})


def _ordered(vector: Sequence[Match], keyword: Sequence[Match], scores: dict[str, float]) -> Iterator[Ranked]:
    by_vector = {match.id: match.score for match in vector}
    by_keyword = {match.id: match.score for match in keyword}
    for identifier in sorted(scores, key=lambda key: (-scores[key], key)):
        yield Ranked(identifier, scores[identifier], by_vector.get(identifier), by_keyword.get(identifier))
