"""An embedder without a model, and imports as short as tests want them."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from service.embedders.base import ModelCard, Purpose, Vectors
from service.embedders.pool import OneModel
from service.ingest.importer import Importer
from service.ingest.models import ImportReport
from service.ingest.shapes import Shapes
from service.ingest.streams import Line
from service.ingest.writing import Writer
from service.models import Collection, Kind, Passage, passage_id
from service.stores.base import Store

TENANT = "default"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class CountingEmbedder:
    """Gives every text the same vector, and remembers the texts."""

    def __init__(self, tokenizer: Tokenizer, prefix: str = "", revision: str = "1") -> None:
        self.tokenizer = tokenizer
        self.card = ModelCard(name="fake", revision=revision, dimensions=4, window=64, passage_prefix=prefix)
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str], purpose: Purpose, tenant: str | None = None) -> Vectors:  # noqa: ARG002  # nothing is kept
        assert purpose == "passage"
        self.texts.extend(texts)
        return np.tile(np.array([1, 0, 0, 0], np.float32), (len(texts), 1))

    def is_truncated(self, text: str, purpose: Purpose) -> bool:
        raise NotImplementedError  # imports never ask


class Imports:
    """Imports into one store with one embedder."""

    def __init__(self, store: Store, embedder: CountingEmbedder) -> None:
        self.store = store
        self.embedder = embedder
        shapes = Shapes(OneModel(embedder))
        self.writer = Writer(store, shapes)
        self.importer = Importer(store, shapes, self.writer, clock=lambda: NOON)

    async def run(self, *documents: dict[str, Any] | bytes, kind: Kind = "documents") -> ImportReport:
        """Import documents, or lines as they are; returns the last report."""
        return (await self.reports(*documents, kind=kind))[-1]

    async def reports(self, *documents: dict[str, Any] | bytes, kind: Kind = "documents") -> list[ImportReport]:
        return [report async for report in self.importer.run(TENANT, "things", kind, lines(*documents))]


async def lines(*documents: dict[str, Any] | bytes) -> AsyncIterator[Line]:
    for number, document in enumerate(documents, start=1):
        yield Line(number, document if isinstance(document, bytes) else json.dumps(document).encode())


def document(identifier: str, text: str = "text", **metadata: Any) -> dict[str, Any]:
    return {"id": identifier, "title": "Title", "text": text, "metadata": metadata}


def counts(report: ImportReport) -> dict[str, int]:
    """The counts that are not 0; they always add up."""
    told = {
        name: getattr(report, name)
        for name in ("received", "created", "updated", "unchanged", "superseded", "failures", "passages")
    }
    parts = report.created + report.updated + report.unchanged + report.superseded + report.failures
    assert report.received == parts
    return {name: count for name, count in told.items() if count}


async def entry(imports: Imports) -> Collection:
    found = await imports.store.collection(TENANT, "things")
    assert found
    return found


async def passages(imports: Imports, identifier: str) -> list[Passage]:
    ids = [passage_id(identifier, position) for position in range(100)]
    found = await imports.store.passages(await entry(imports), ids)
    return sorted(found, key=lambda passage: passage.position)
