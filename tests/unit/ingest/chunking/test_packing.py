import pytest
from hypothesis import given
from hypothesis import strategies as some

from service.ingest.chunking.packing import group_sections, pack
from service.ingest.chunking.sections import sections


def grouped(text: str, capacity: int) -> list[str]:
    """Passages of whole sections, where a word is a token."""
    tree = sections(text)
    costs = [len(text[section.start : section.end].split()) for section in tree]
    groups = group_sections(tree, costs, lambda _: capacity)
    return [text[tree[group.first].start : tree[group.last].end].strip() for group in groups]


def test_small_neighbours_under_one_heading_share_a_passage() -> None:
    text = "# A\n\na a\n\n# B\n\nb b\n\n# C\n\nc c\n"
    assert grouped(text, 8) == ["# A\n\na a\n\n# B\n\nb b", "# C\n\nc c"]


def test_sections_under_different_headings_do_not_share_a_passage() -> None:
    text = "# A\n\na a a a\n\n## A1\n\nx\n\n# B\n\nb b b b\n\n## B1\n\ny\n"
    assert grouped(text, 9) == ["# A\n\na a a a\n\n## A1\n\nx", "# B\n\nb b b b\n\n## B1\n\ny"]


def test_a_section_stays_with_its_subsections_where_they_fit() -> None:
    text = "# A\n\na\n\n# B\n\nb b\n\n## B1\n\nx\n\n## B2\n\ny"
    assert grouped(text, 10) == ["# A\n\na", "# B\n\nb b\n\n## B1\n\nx\n\n## B2\n\ny"]


def test_what_stands_before_subsections_shares_a_passage_with_the_first() -> None:
    text = "# A\n\na\n\n## A1\n\nx x\n\n## A2\n\ny y y"
    assert grouped(text, 8) == ["# A\n\na\n\n## A1\n\nx x", "## A2\n\ny y y"]


def test_a_heading_without_text_goes_with_the_next() -> None:
    text = "# A\n\n## A1\n\nx x x x\n\n## A2\n\ny y y y\n\n# End\n"
    assert grouped(text, 8) == ["# A\n\n## A1\n\nx x x x", "## A2\n\ny y y y\n\n# End"]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([5], [(0, 1)]),
        ([5, 5], [(0, 2)]),
        ([4, 4, 4], [(0, 2), (2, 3)]),
        ([3] * 8, [(0, 3), (3, 6), (6, 8)]),
        ([10, 10, 10], [(0, 1), (1, 2), (2, 3)]),
        ([], []),
    ],
)
def test_runs_are_as_few_as_filling_needs_and_of_like_size(costs: list[int], expected: list[tuple[int, int]]) -> None:
    assert list(pack(costs, 10)) == expected


@given(some.lists(some.integers(0, 10), max_size=200))
def test_runs_adjoin_and_none_is_over_the_capacity(costs: list[int]) -> None:
    runs = list(pack(costs, 10))
    assert [index for start, end in runs for index in range(start, end)] == list(range(len(costs)))
    assert all(sum(costs[start:end]) <= 10 for start, end in runs)
