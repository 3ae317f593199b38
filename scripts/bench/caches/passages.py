"""A data directory full of real passages with made vectors, filled in seconds, and real queries to ask it."""

import asyncio
import csv
import gzip
import json
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.embedders.base import Model
from service.embedders.onnx import load_onnx_model
from service.models import Collection, Passage, Record, passage_id
from service.stores.base import EmbeddedDocument, Store
from service.stores.embedded import open_embedded_store
from tests.tools.running import SHARED_DATA

WORDS = 117
"""Of a passage: as long as the chunker makes those of the PEPs, in the middle."""
BATCH = 500
NEVER = 1_000_000
"""Passages before an index is built."""
NOISE = 0.8


@cache
def model() -> Model:
    """Return the model of the service."""
    return load_onnx_model("all-MiniLM-L6-v2", None, None)


def queries(count: int = 200) -> list[str]:
    """Return real queries: all that are judged of cisi, then questions of a bank's customers."""
    with (SHARED_DATA / "cisi-queries.jsonl").open() as file:
        judged = [json.loads(line)["query"] for line in file]
    return list(islice(chain(judged, questions()[:: len(questions()) // count]), count))


@cache
def questions() -> list[str]:
    """Return the questions of banking77, each once, in random order."""
    with (SHARED_DATA / "banking77-train.csv").open(newline="") as file:
        found = list(dict.fromkeys(row["text"] for row in csv.DictReader(file)))
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))]


async def fill(directory: Path, count: int) -> None:
    """Make a collection `documents` of so many passages in a data directory, and no index for them."""
    async with open_embedded_store(directory, dimensions=model().card.dimensions, index_at=NEVER) as store:
        await fill_store(store, count)


async def fill_store(store: Store, count: int) -> Collection:
    """Make a collection `documents` of so many passages."""
    wanted = Collection(
        tenant="default",
        name="documents",
        kind="documents",
        fields={"source": "keyword"},
        fingerprint=model().card.fingerprint,
    )
    near = model().encode(queries())
    collection = await store.put_collection(wanted, None)
    if collection is None:
        raise RuntimeError("the collection exists")
    random = np.random.default_rng(0)
    texts = list(islice(_texts(random), count))
    for first in range(0, count, BATCH):
        batch = texts[first : first + BATCH]
        vectors = _vectors(near, len(batch), random)
        documents = [
            _document(first + at, *one, vectors[at : at + 1])
            for at, one in enumerate(batch)  # one vector each
        ]
        await store.write(collection, documents)
    return collection


async def build_index(directory: Path, index_at: int) -> None:
    """Open the data directory with another setting, and wait for the index that it makes the collection want."""
    async with open_embedded_store(directory, dimensions=model().card.dimensions, index_at=index_at) as store:
        live = store._live["default", "documents"]  # noqa: SLF001  # the port does not tell of indexes
        while live.is_indexing or live.is_index_wanted(index_at):  # noqa: ASYNC110  # the same
            await asyncio.sleep(0.05)


def _texts(random: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """Yield source, title and text: all of cisi and the PEPs, then the same words in another order."""
    words: list[str] = []
    for source in ("cisi", "peps"):
        with gzip.open(SHARED_DATA / f"{source}.jsonl.gz", "rt") as file:
            for document in map(json.loads, file):
                found = document["text"].split(" ")
                words += found[:WORDS]
                for start in range(0, len(found), WORDS):
                    yield source, document["title"], " ".join(found[start : start + WORDS])
    while True:
        yield "noise", "Noise", " ".join(words[place] for place in random.integers(0, len(words), WORDS))


def _vectors(near: NDArray[np.float32], count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw unit vectors around those of the queries, as answers to them would lie."""
    centres = near[random.integers(0, len(near), count)]
    drawn = centres + NOISE / np.sqrt(near.shape[1]) * random.standard_normal((count, near.shape[1]))
    rows: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return rows


def _document(number: int, source: str, title: str, text: str, vectors: NDArray[np.float32]) -> EmbeddedDocument:
    name, metadata = f"{source}-{number}", {"source": source}
    record = Record(id=name, title=title, text=text, metadata=metadata, content_hash=name)
    passage = Passage(
        id=passage_id(name, 0),
        document_id=name,
        position=0,
        title=title,
        text=text,
        context=title,
        metadata=metadata,
    )
    return EmbeddedDocument(record, [passage], vectors)
