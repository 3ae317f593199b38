import pytest

from service.commands.texts import printable, snippet


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n\n lines\tand", "two lines and"),
        ("\x1b[31mred\x1b[0m\x07", "[31mred[0m"),
        ("a\u202eb\u200bc", "abc"),
        ("Größe 10 €", "Größe 10 €"),
    ],
)
def test_a_text_is_shown_on_one_line_without_what_a_terminal_obeys(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [("short", 10, "short"), ("a longer text here", 12, "a longer…"), ("x" * 30, 10, "x" * 9 + "…")],
)
def test_a_long_text_is_cut_at_a_word(text: str, length: int, shown: str) -> None:
    assert snippet(text, length) == shown
