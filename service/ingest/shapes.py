"""What a generation makes of documents: its passages, their vectors, and the hashes that tell one content."""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct, structs

from service.embedders.base import Embedder, Embedders, Vectors
from service.errors import ModelUnavailable
from service.ingest.chunking import Chunker
from service.ingest.hashing import digest_of, model_tag
from service.ingest.passages import passages_of
from service.models import Collection, Kind, Passage, Record
from service.resilience.budgets import budgeted
from service.stores.base import EmbeddedDocument

EMBEDDED_AT_ONCE: Final = 64
"""Passages; several imports take turns at the embedder."""


class Shape(Struct, frozen=True):
    """A model and a length of passages."""

    embedder: Embedder
    chunker: Chunker
    passage_tokens: int = 0

    @property
    def fingerprint(self) -> str:
        return self.embedder.card.fingerprint

    @property
    def tag(self) -> str:
        """What the content hashes of its records begin with."""
        return model_tag(self.fingerprint, self.passage_tokens)

    def tagged(self, record: Record) -> Record:
        """Return the record of the same content as it is kept beside passages of this shape."""
        return structs.replace(record, content_hash=f"{self.tag}-{digest_of(record.content_hash)}")

    def cut(self, records: Sequence[Record], kind: Kind) -> list[list[Passage]]:
        """Return the passages of each record; blocks for as long as they are large."""
        return [passages_of(record, kind, self.chunker) for record in records]

    async def embed(
        self, records: Sequence[Record], passages: Sequence[list[Passage]], tenant: str
    ) -> list[EmbeddedDocument]:
        """Embed the passages of each record, behind queries; raises ModelUnavailable."""
        contents = [passage.content for of_record in passages for passage in of_record]
        vectors = await self._vectors(contents, tenant)
        ends = np.cumsum([len(of_record) for of_record in passages])
        parts = zip(records, passages, np.split(vectors, ends[:-1]), strict=True)
        return [EmbeddedDocument(self.tagged(record), of_record, part) for record, of_record, part in parts]

    async def _vectors(self, contents: list[str], tenant: str) -> Vectors:
        with budgeted(None):  # an import makes many calls: what one request may wait for Redis is not for all of them
            parts = [
                await self.embedder.embed(contents[start : start + EMBEDDED_AT_ONCE], "passage", tenant)
                for start in range(0, len(contents), EMBEDDED_AT_ONCE)
            ]
        return np.concatenate(parts) if parts else np.empty((0, self.embedder.card.dimensions), np.float32)


class Shapes:
    """The shapes of all generations, by model and length of passages."""

    def __init__(self, embedders: Embedders) -> None:
        self._embedders = embedders
        self._known: dict[tuple[str, int], Shape] = {}

    async def of(self, generation: Collection) -> Shape:
        """Return the shape of a generation; raises ModelUnavailable where its model cannot be loaded.

        Nothing but the same model may write beside: there would be no telling what its vectors are good for.
        """
        if not generation.is_beside:
            return await self.of_model(generation.model, generation.passage_tokens)
        try:
            shape = await self.of_model(generation.model, generation.passage_tokens)
        except ModelUnavailable as error:
            raise ModelUnavailable(_unusable(generation, str(error))) from error
        if shape.fingerprint != generation.fingerprint:
            raise ModelUnavailable(_unusable(generation, f"The model {generation.model!r} is another than it was."))
        return shape

    async def of_model(self, model: str, passage_tokens: int) -> Shape:
        """Return the shape of a model's passages of this length, 0 for as long as it reads."""
        if found := self._known.get((model, passage_tokens)):
            return found
        embedder = await self._embedders.of(model)
        window = passage_window(embedder)
        chunker = await asyncio.to_thread(Chunker, embedder.tokenizer, min(window, passage_tokens or window))
        shape = self._known[model, passage_tokens] = Shape(embedder, chunker, passage_tokens)
        return shape


def passage_window(embedder: Embedder) -> int:
    """Return the tokens that the model reads of a passage, special ones included, its prefix left out."""
    prefix = embedder.tokenizer.encode(embedder.card.passage_prefix, add_special_tokens=False)
    return embedder.card.window - len(prefix)


def _unusable(generation: Collection, reason: str) -> str:
    return (
        f"Generation {generation.generation} of collection {generation.name!r} cannot be used, and nothing was "
        f"written: {reason} Give its model back, or drop the generation: DELETE /collections/{generation.name}/reindex."
    )
