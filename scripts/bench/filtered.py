"""Passages whose fields tell exactly which part of all they belong to, and searches under filters on these fields."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from scripts.bench.caches.passages import _texts, model, queries
from service.models import FieldType, Passage, Record, passage_id
from service.stores.base import EmbeddedDocument
from service.stores.filters import Filter, parse_filter

FRACTIONS: Final = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0)
FIELDS: Final[Mapping[str, FieldType]] = {"tags": "keyword[]", "rank": "integer", "side": "integer"}
"""A part is told by a keyword and by a number, drawn by lot; and by a number that goes with the vectors."""
REAL: Final = 1_000
"""Passages that are embedded; the vectors of all others lie around theirs."""
NOISE: Final = 0.6
QUERIES: Final = 60
TOP: Final = 10

Vectors = NDArray[np.float32]


class Case(Struct, frozen=True):
    """A search with a filter that lets a known part of the passages through."""

    vector: Vectors
    where: Filter | None
    best: set[str]
    """The ids of the nearest that meet it, by exact comparison."""


class Corpus:
    """Documents of one passage each."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(0)
        texts = [text for _, _, text in islice(_texts(random), 0, REAL * 10, 10)]
        near = model().encode(texts)
        drawn = near[random.integers(0, len(near), count)]
        drawn = drawn + NOISE / np.sqrt(near.shape[1]) * random.standard_normal((count, near.shape[1]))
        self.vectors: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        self.ids = np.array([passage_id(f"d{number}", 0) for number in range(count)])
        self.ranks: Mapping[str, NDArray[np.int64]] = {
            "rank": random.permutation(count),
            # Near to one passage first: the filter and the vectors know of each other.
            "side": np.argsort(np.argsort(-(self.vectors @ near[0]))),
        }
        self._texts = texts
        self.asked = model().encode(queries(QUERIES))
        self._similarities = self.vectors @ self.asked.T

    def documents(self, first: int, last: int) -> list[EmbeddedDocument]:
        """Make the documents from `first` to before `last`."""
        return [self._document(number) for number in range(first, min(last, len(self.ids)))]

    def case(self, query: int, field: str, fraction: float) -> Case:
        """Make a search under a filter on one of the fields."""
        by = "rank" if field == "tags" else field
        size = self._size(fraction)
        met = np.flatnonzero(self.ranks[by] < size)
        order = met[np.argsort(-self._similarities[met, query])[:TOP]]
        raw = {"tags": f"t{fraction}"} if field == "tags" else {field: {"lt": size}}
        return Case(self.asked[query], parse_filter(raw, FIELDS), set(self.ids[order]))

    def _size(self, fraction: float) -> int:
        return max(1, round(fraction * len(self.ids)))

    def _document(self, number: int) -> EmbeddedDocument:
        ranks = {field: int(of[number]) for field, of in self.ranks.items()}
        tags = [f"t{fraction}" for fraction in FRACTIONS if ranks["rank"] < self._size(fraction)]
        metadata: dict[str, Any] = {**ranks, "tags": tags}
        name, text = f"d{number}", self._texts[number % len(self._texts)]
        record = Record(id=name, title=name, text="", metadata=metadata, content_hash=name)
        passage = Passage(
            id=str(self.ids[number]), document_id=name, position=0, title=name, text=text, metadata=metadata
        )
        return EmbeddedDocument(record, [passage], self.vectors[number : number + 1])
