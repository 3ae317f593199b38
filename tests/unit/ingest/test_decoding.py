import json
from typing import Any

import pytest

from service.ingest.decoding import (
    LONGEST_ANSWER,
    LONGEST_ERROR,
    LONGEST_TEXT,
    LONGEST_TITLE,
    MOST_VARIANTS,
    decode_line,
)
from service.ingest.models import FailedLine, Item
from service.ingest.streams import Line
from service.models import LONGEST_QUERY, Kind


def decoded(data: bytes | dict[str, Any], kind: Kind = "documents") -> Item | FailedLine:
    return decode_line(Line(7, data if isinstance(data, bytes) else json.dumps(data).encode()), kind)


def item(data: dict[str, Any], kind: Kind = "documents") -> Item:
    found = decoded(data, kind)
    assert isinstance(found, Item), found
    return found


def test_a_document_is_taken_as_it_is() -> None:
    found = item({"id": "a/b c", "title": " Title ", "text": " text\n", "metadata": {"n": 1}})
    assert found == Item(line=7, id="a/b c", title="Title", text=" text\n", metadata={"n": 1})


def test_a_document_without_title_takes_its_first_heading() -> None:
    assert item({"text": "intro\n\n# Heading\n\ntext"}).title == "Heading"
    assert item({"text": "text"}).title == ""
    assert item({"text": "text", "title": None, "metadata": None}).metadata == {}


def test_an_absent_id_follows_from_title_and_text() -> None:
    first, again = item({"text": "text", "title": "a"}), item({"text": "text", "title": "a", "metadata": {"n": 1}})
    assert first.id == again.id
    assert first.id != item({"text": "text", "title": "b"}).id
    assert item({"question": "a", "answer": "text"}, "faq").id == first.id


def test_an_entry_has_its_question_as_title_and_its_answer_as_text() -> None:
    found = item({"id": "x", "question": " How? ", "variants": ["Why? ", "What?"], "answer": "So."}, "faq")
    assert (found.title, found.text, found.variants) == ("How?", "So.", ["Why?", "What?"])


@pytest.mark.parametrize(
    ("data", "identifier", "message"),
    [
        ({"id": "x", "text": ""}, "x", "text must not be empty"),
        ({"id": "x", "text": " \n\t"}, "x", "text must not be empty"),
        ({"id": "x"}, "x", "missing required field `text`"),
        ({"id": "x", "text": 1}, "x", "Expected `str`, got `int`"),
        ({"id": "x", "text": "a", "colour": "red"}, "x", "unknown field `colour`"),
        ({"id": "x", "text": "a\0b"}, "x", "text must not contain NUL"),
        ({"id": "x", "text": "a", "title": "a\0b"}, "x", "title must not contain NUL"),
        ({"id": "x", "text": "a", "title": "t" * (LONGEST_TITLE + 1)}, "x", "title has 2,001 characters"),
        ({"id": "x", "text": "t" * (LONGEST_TEXT + 1)}, "x", "text has 10,000,001 characters"),
        ({"id": "x", "text": "a", "metadata": []}, "x", "Expected `object | null`"),
        ({"id": "", "text": "a"}, "", "id must have 1 to 512 printable characters"),
        ({"id": " ", "text": "a"}, " ", "id must have 1 to 512 printable characters"),
        ({"id": "a\nb", "text": "a"}, "a\nb", "id must have 1 to 512 printable characters"),
        ({"id": "a\0b", "text": "a"}, "a\0b", "id must have 1 to 512 printable characters"),
        ({"id": "i" * 513, "text": "a"}, "i" * 512, "id must have 1 to 512 printable characters"),
        ({"id": 5, "text": "a"}, None, "Expected `str | null`, got `int` - at `$.id`"),
        (b'{"id": "x", "text": "a"', None, "the line is not JSON"),
        (b'{"id": "x", "text": "\\ud800"}', None, "the line is not JSON"),
        (b'{"id": "x", "text": "\xff"}', None, "the line is not UTF-8"),
        (b'{"id": "x", "text": "a", "metadata": {"n": 1e999}}', "x", "out of range"),
        (b'{"id": "x", "text": "a", "metadata": {"n": ' + b"[" * 100_000, None, "the line is not JSON"),
        (b"[" * 100_000, None, "Expected `object`, got `array`"),
        (b"null", None, "Expected `object`, got `null`"),
    ],
)
def test_a_line_that_is_wrong_says_what_is_wrong(
    data: bytes | dict[str, Any], identifier: str | None, message: str
) -> None:
    found = decoded(data)
    assert isinstance(found, FailedLine)
    assert (found.line, found.id) == (7, identifier)
    assert message in found.error


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"question": " ", "answer": "a"}, "question must not be empty"),
        ({"question": "q", "answer": ""}, "answer must not be empty"),
        ({"question": "q", "answer": "a", "variants": ["v", ""]}, "variants[1] must not be empty"),
        ({"question": "q", "answer": "a", "variants": ["v"] * (MOST_VARIANTS + 1)}, "at most 1,000 variants"),
        ({"question": "q" * (LONGEST_QUERY + 1), "answer": "a"}, "question has 4,097 characters"),
        ({"question": "q", "answer": "a" * (LONGEST_ANSWER + 1)}, "answer has 20,001 characters"),
        ({"text": "a"}, "unknown field `text`"),
    ],
)
def test_an_entry_that_is_wrong_says_what_is_wrong(entry: dict[str, Any], message: str) -> None:
    found = decoded(entry, "faq")
    assert isinstance(found, FailedLine)
    assert message in found.error


def test_a_message_does_not_repeat_a_whole_line() -> None:
    found = decoded({"text": "a", "k" * 1_000_000: 1})
    assert isinstance(found, FailedLine)
    assert len(found.error) == LONGEST_ERROR


def test_a_line_that_could_not_be_read_fails_with_the_reason() -> None:
    assert decode_line(Line(3, error="too long"), "documents") == FailedLine(3, None, "too long")
