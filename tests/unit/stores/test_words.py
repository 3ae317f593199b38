"""Words and BM25 of the store in memory."""

import math

import pytest

from service.stores.words import bm25_scores, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The quick brown fox", ["quick", "brown", "fox"]),
        ("Running runs run", ["run", "run", "run"]),
        ("stopped falling classes", ["stop", "fall", "classe"]),
        ("bus this analysis red sing", ["bus", "analysis", "red", "sing"]),
        ("Café NAÏVE", ["cafe", "naive"]),
        ("PEP-484, really", ["pep", "484", "really"]),
        ("use sys.path.", ["use", "sys", "path"]),
        ("snake_case __init__", ["snake", "case", "init"]),
        ("", []),
        ("to be, or not to be?", []),
    ],
)
def test_text_becomes_the_words_that_count(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_bm25_follows_its_formula() -> None:
    texts = {"one": ["copper", "copper", "kettle"], "two": ["lamp"], "three": ["kettle", "lamp"]}
    scores = bm25_scores(["copper", "kettle"], texts)
    copper, kettle = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    longest = 1.2 * (0.4 + 0.6 * 3 / 2)
    assert scores["one"] == pytest.approx(copper * 2 * 2.2 / (2 + longest) + kettle * 2.2 / (1 + longest))
    assert scores["three"] == pytest.approx(kettle)
    assert scores.keys() == {"one", "three"}


def test_no_texts_have_no_scores() -> None:
    assert bm25_scores(["copper"], {}) == {}
