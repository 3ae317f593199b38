from hypothesis import given
from hypothesis import strategies as st

from service.models import Passage
from service.search.context import pack


def passage(document: str, position: int, text: str = "") -> Passage:
    text = text or f"{document} says {position}"
    return Passage(id=f"{document}/{position}", document_id=document, position=position, title=document, text=text)


def words(text: str) -> int:
    return len(text.split())


def test_consecutive_passages_become_one_block_under_one_mark() -> None:
    text, citations, _ = pack([passage("a", 4), passage("b", 0), passage("a", 5)], 1000, words)
    assert text == "[1] a\na says 4\na says 5\n\n[2] b\nb says 0"
    assert [(c.mark, c.document_id, c.positions) for c in citations] == [("[1]", "a", [4, 5]), ("[2]", "b", [0])]


def test_gaps_in_a_document_make_blocks_of_their_own() -> None:
    _, citations, _ = pack([passage("a", 7), passage("a", 2)], 1000, words)
    assert [c.positions for c in citations] == [[7], [2]]


def test_the_same_text_is_taken_once() -> None:
    _, citations, _ = pack([passage("a", 0, "same words"), passage("b", 0, "same words")], 1000, words)
    assert [c.document_id for c in citations] == ["a"]


def test_what_does_not_fit_is_left_out_and_smaller_passages_still_enter() -> None:
    _, citations, tokens = pack([passage("a", 0, "long " * 50), passage("b", 0, "short")], 10, words)
    assert [c.document_id for c in citations] == ["b"]
    assert tokens <= 10


def test_nothing_found_is_an_empty_context() -> None:
    assert pack([], 100, words) == ("", [], 0)


@given(
    places=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6)), max_size=12, unique=True),
    budget=st.integers(1, 60),
)
def test_the_budget_is_never_passed_and_every_mark_is_cited(places: list[tuple[str, int]], budget: int) -> None:
    text, citations, tokens = pack([passage(*place) for place in places], budget, words)
    assert tokens == words(text) <= budget
    assert all(citation.mark in text for citation in citations)
