"""The documents of a collection in SQLite: a log that can be followed from any place in it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.stores.embedded.documents import Documents
from tests.contract.library import document


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[Documents]:
    opened = Documents(tmp_path / "documents.sqlite")
    yield opened
    opened.close()


def write(documents: Documents, *ids: str, texts: tuple[str, ...] = ("one", "two")) -> set[str]:
    return documents.write(documents.number([document(identifier, *texts) for identifier in ids]))


def followed(documents: Documents, seq: int, passages: int) -> list[tuple[list[str], list[str]]]:
    """Follow the log from a place in stretches: the ids that each says are written and deleted."""
    stretches = []
    while changes := documents.changes_after(seq, passages):
        stretches.append(([stored.record.id for stored in changes.written], changes.deleted))
        seq = changes.seq
    return stretches


def test_the_log_is_followed_in_stretches_of_about_so_many_passages(documents: Documents) -> None:
    write(documents, "a", "b", "c", "d", "e")
    assert followed(documents, 0, 4) == [(["a", "b"], []), (["c", "d"], []), (["e"], [])]
    assert followed(documents, 2, 100) == [(["c", "d", "e"], [])]
    assert followed(documents, documents.state.seq, 100) == []


def test_a_stretch_holds_one_document_at_least(documents: Documents) -> None:
    write(documents, "a", "b", texts=("one", "two", "three"))
    assert followed(documents, 0, 1) == [(["a"], []), (["b"], [])]


def test_only_what_documents_have_become_is_in_the_log(documents: Documents) -> None:
    write(documents, "a", "b", "c")
    assert write(documents, "b", "d") == {"b"}
    assert documents.delete(["a", "nowhere"]) == ["a"]
    assert followed(documents, 0, 100) == [(["c", "b", "d"], ["a"])]
    assert write(documents, "a") == set()
    assert followed(documents, 0, 100) == [(["c", "b", "d", "a"], [])]


def test_deletions_that_every_index_has_are_forgotten(documents: Documents) -> None:
    write(documents, "a", "b")
    documents.delete(["a"])
    until = documents.state.seq
    documents.delete(["b"])
    documents.forget_deletions(until)
    assert followed(documents, 0, 100) == [([], ["b"])]


def test_what_was_committed_is_there_after_opening_again(tmp_path: Path) -> None:
    file = tmp_path / "documents.sqlite"
    first = Documents(file)
    written = document("a", "one", "two", "three", title="Title", metadata={"pep": 1})
    first.write(first.number([written, document("b")]))
    first.delete(["b"])
    first.close()
    second = Documents(file)
    assert second.state == first.state
    assert (second.state.documents, second.state.passages) == (1, 3)
    changes = second.changes_after(0, 100)
    assert changes is not None
    assert changes.deleted == ["b"]
    (stored,) = changes.written
    assert (stored.record, stored.passages) == (written.record, written.passages)
    assert np.array_equal(stored.vectors, written.vectors)
    second.close()


def test_a_write_that_fails_leaves_nothing(documents: Documents) -> None:
    write(documents, "a")
    before = documents.state
    numbered = documents.number([document("b"), document("c", title="\ud800")])
    with pytest.raises(UnicodeEncodeError):
        documents.write(numbered)
    assert documents.state == before
    assert followed(documents, 0, 100) == [(["a"], [])]


def test_a_document_without_passages_is_kept(documents: Documents) -> None:
    empty = document("a")
    empty.passages.clear()
    documents.write(documents.number([type(empty)(empty.record, [], empty.vectors[:0])]))
    changes = documents.changes_after(0, 10)
    assert changes is not None
    assert changes.written[0].passages == []
