"""Files to documents: which format a file is in, and that whatever is wrong with it is the file's own failure."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final

from msgspec import Struct

from service.errors import InvalidDocument
from service.ingest.decoding import LONGEST_TEXT, LONGEST_TITLE, title_of
from service.ingest.markup import html_to_text, word_to_text
from service.ingest.models import DocumentInput
from service.ingest.pdf import pdf_to_text

LARGEST_FILE: Final = 50_000_000
"""Bytes."""


class _Parsed(Struct, frozen=True):
    text: str
    title: str = ""


def parse_file(name: str, data: bytes) -> DocumentInput:
    """Return the file's document, whose id is the file's name; its title the first heading, else the name's stem.

    Raises InvalidDocument, and nothing else, where the file cannot be taken. Takes up to a minute: call it in a thread.
    """
    path = PurePosixPath(name)
    parse = PARSERS.get(path.suffix.lower())
    if parse is None:
        raise InvalidDocument(f"{name!r} is of no known format; those are {' '.join(PARSERS)}")
    if len(data) > LARGEST_FILE:
        raise InvalidDocument(f"the file has {len(data):,} bytes; the limit is {LARGEST_FILE:,}")
    try:
        parsed = parse(data)
    except InvalidDocument:
        raise
    except Exception as error:  # the formats' libraries raise whatever a broken file leads them to
        raise InvalidDocument(f"the file cannot be read: {str(error) or type(error).__name__}") from error
    if not parsed.text.strip():
        raise InvalidDocument("the file holds no text")
    if len(parsed.text) > LONGEST_TEXT:
        raise InvalidDocument(f"the file holds {len(parsed.text):,} characters of text; the limit is {LONGEST_TEXT:,}")
    return DocumentInput(id=name, title=(parsed.title or path.stem)[:LONGEST_TITLE], text=parsed.text)


def _plain(data: bytes) -> _Parsed:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"the file is not UTF-8: byte {data[error.start]:#04x} at {error.start:,}") from None
    return _Parsed(text, title_of(text))


def _html(data: bytes) -> _Parsed:
    page = html_to_text(data)
    return _Parsed(page.text, title_of(page.text) or page.title)


def _word(data: bytes) -> _Parsed:
    page = word_to_text(data)
    return _Parsed(page.text, title_of(page.text))


def _pdf(data: bytes) -> _Parsed:
    return _Parsed(pdf_to_text(data))


PARSERS: Final[Mapping[str, Callable[[bytes], _Parsed]]] = {
    ".md": _plain,
    ".rst": _plain,
    ".txt": _plain,
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".docx": _word,
}
