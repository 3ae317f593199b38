import pytest

from service.ingest.outline import MOST_HEADINGS, headings


def outline(text: str) -> list[tuple[int, str]]:
    return [(heading.level, heading.title) for heading in headings(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\ntext\n## Two ##\ntext\n# Three\n", [(1, "One"), (2, "Two"), (1, "Three")]),
        ("One\n===\n\ntext\n\nTwo\n---\n\ntext", [(1, "One"), (2, "Two")]),
        ("# Top\n\nSetext\n------\n\ntext", [(1, "Top"), (2, "Setext")]),
        ("# Top\r\n\r\ntext\r\n\r\n## Sub\r\n", [(1, "Top"), (2, "Sub")]),
        ("# Real\n```\n# a comment\n\nFoo\n---\n```\n# Next\n", [(1, "Real"), (1, "Next")]),
        ("# Real\n~~~~\n# a comment\n```\n~~~~\n# Next", [(1, "Real"), (1, "Next")]),
        ("# Real\n\nExample:\n~~~\n# a comment\n~~~\n# Next", [(1, "Real"), (1, "Next")]),
        ("#hashtag\n#\n####### seven\n", []),
        ("# Real\n    # indented code\n", [(1, "Real")]),
    ],
)
def test_markdown_headings_are_found_outside_of_code(text: str, expected: list[tuple[int, str]]) -> None:
    assert outline(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "=====\nTitle\n=====\n\nA\n=\n\nPart\n====\n\nSub\n~~~\n\nNext\n====\n",
            [(1, "Title"), (2, "Part"), (3, "Sub"), (2, "Next")],
        ),
        (
            "Part\n****\n\ntext\n\nSub\n^^^^^^\n\nDeep\n''''\n\nNext\n****",
            [(1, "Part"), (2, "Sub"), (3, "Deep"), (1, "Next")],
        ),
        ("==========\n  Inset\n==========\n\nPart\n----\n", [(1, "Inset"), (2, "Part")]),
        (".. note:: x\n\nPart\n====\n\n::\n\n    # no heading\n\n# nor this\n", [(1, "Part")]),
        ("A paragraph that\nends so\n-------\n", []),
        ("Longer title\n-----\n", []),
        ("=====  =====\nA      B\n=====  =====\n1      2\n=====  =====\n", []),
        ("text\n\n----------\n\ntext", []),
    ],
)
def test_restructured_headings_nest_in_the_order_of_their_adornments(
    text: str, expected: list[tuple[int, str]]
) -> None:
    assert outline(text) == expected


def test_a_heading_tells_where_it_and_what_it_heads_begin() -> None:
    text = "intro\n\n=====\nTitle\n=====\nbody"
    (heading,) = headings(text)
    assert text[heading.start : heading.body] == "=====\nTitle\n=====\n"
    assert text[heading.body :] == "body"


def test_a_line_of_any_length_is_no_heading() -> None:
    assert outline("# " + "x" * 1_000_000) == []
    assert outline("x" * 1_000_000 + "\n" + "=" * 1_000_000) == []


def test_the_number_of_headings_is_bounded() -> None:
    assert len(headings("# a\n" * (MOST_HEADINGS + 10))) == MOST_HEADINGS
