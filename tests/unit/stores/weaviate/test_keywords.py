"""Texts and queries become the same terms wherever they say the same words."""

import pytest

from service.stores.weaviate.keywords import LONGEST_TERM, Analyser


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The forests were RUNNING", "forest run"),
        ("Le café, señor!", "le cafe senor"),
        ("sys.path", "sys path"),
        ("call snake_case_name now", "call snake_case_nam snake case name"),
        ("PEP-484 (3.12.1)", "pep 484 3 12 1"),
        ("what is it", ""),
        ("Данные в таблице", "данные в таблице"),
        ("run run runs", "run run run"),
    ],
)
def test_a_text_is_analysed(text: str, terms: str) -> None:
    assert Analyser().terms(text) == terms


def test_a_word_without_end_is_cut() -> None:
    assert Analyser().terms("x" * 10_000) == "x" * LONGEST_TERM
