"""What must hold of an embedded store, whatever happened to the process that wrote it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.models import Collection
from service.stores.base import Store
from service.stores.filters import parse_filter
from tests.faults.writing import revised


async def assert_whole(store: Store, collection: Collection, revisions: Mapping[str, int]) -> None:
    """All documents are there as their revisions have them, every record and every passage; and nothing else is."""
    documents = {identifier: revised(identifier, revision) for identifier, revision in revisions.items()}
    passages = {passage.id: passage for document in documents.values() for passage in document.passages}
    size = await store.size(collection)
    assert (size.documents, size.passages) == (len(documents), len(passages))
    records = {record.id: record for record in await store.records(collection, [*documents])}
    assert records == {identifier: document.record for identifier, document in documents.items()}
    hashes = await store.content_hashes(collection, [*documents])
    assert hashes == {identifier: record.content_hash for identifier, record in records.items()}
    assert {passage.id: passage for passage in await store.passages(collection, [*passages])} == passages


async def assert_searchable(store: Store, collection: Collection, revisions: Mapping[str, int]) -> None:
    """All passages of these documents are found by vector, filter and word, and no other passages of theirs are."""
    for identifier, revision in revisions.items():
        document = revised(identifier, revision)
        where = parse_filter({"document_id": identifier, "revision": revision}, collection.fields)
        for passage, vector in zip(document.passages, document.vectors, strict=True):
            nearest = await store.nearest(collection, vector, 20, where)
            assert nearest[0].id == passage.id
            assert nearest[0].score == pytest.approx(1, abs=1e-4)
            assert len(nearest) == len(document.passages)
        word = document.passages[-1].text.split()[0]
        assert document.passages[-1].id in [match.id for match in await store.matching(collection, word, 5, None)]


def assert_no_rubbish(directory: Path) -> None:
    assert names_in(directory) == ["catalog.sqlite", "collections", "format", "lock"]
    (collection,) = (directory / "collections").iterdir()
    folders = [entry for entry in collection.iterdir() if entry.is_dir()]
    assert len(folders) == 1
    assert names_in(collection) == sorted(["documents.sqlite", folders[0].name])


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
