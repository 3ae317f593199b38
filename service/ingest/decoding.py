"""Lines to documents and entries, or to what is wrong with them."""

from contextlib import suppress
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from msgspec import Struct

from service.errors import InvalidDocument
from service.ingest.models import DocumentInput, EntryInput, FailedLine, Item
from service.ingest.outline import headings
from service.ingest.streams import Line
from service.models import LONGEST_QUERY, UNSTORABLE, Kind

LONGEST_ID: Final = 512
LONGEST_TITLE: Final = 2_000
"""Characters; each passage carries it."""
LONGEST_TEXT: Final = 10_000_000
"""Characters of a document."""
LONGEST_ANSWER: Final = 20_000
"""Characters; each variant carries it."""
MOST_VARIANTS: Final = 1_000
LONGEST_ERROR: Final = 500
"""Characters of a message, which may quote the line."""
TITLE_SEARCHED: Final = 10_000
"""Characters of a text in which its title is looked for."""
ID_NAMESPACE: Final = UUID("c1a4a8c6-3f0e-5d0b-8a52-6de1b3f7a940")


class _Named(Struct):
    """What is still told of a line that is wrong otherwise."""

    id: Any = None


def decode_line(line: Line, kind: Kind) -> Item | FailedLine:
    """Decode and check a line, all but its metadata."""
    if line.error:
        return FailedLine(line.number, None, line.error)
    try:
        return _document(line) if kind == "documents" else _entry(line)
    except (msgspec.ValidationError, InvalidDocument) as error:
        return FailedLine(line.number, _id_of(line), str(error)[:LONGEST_ERROR])
    except (msgspec.DecodeError, RecursionError) as error:
        return FailedLine(line.number, None, f"the line is not JSON: {error}"[:LONGEST_ERROR])
    except UnicodeDecodeError:
        return FailedLine(line.number, None, "the line is not UTF-8")


def title_of(text: str) -> str:
    """Return the first heading near the beginning of the text, or nothing."""
    found = headings(text[:TITLE_SEARCHED])
    return found[0].title if found else ""


def _document(line: Line) -> Item:
    given = msgspec.json.decode(line.data, type=DocumentInput)
    _check_text("text", given.text, LONGEST_TEXT)
    title = (given.title or "").strip() or title_of(given.text)
    if title:
        _check_text("title", title, LONGEST_TITLE)
    identifier = _checked_id(given.id, title, given.text)
    return Item(line=line.number, id=identifier, title=title, text=given.text, metadata=given.metadata or {})


def _entry(line: Line) -> Item:
    given = msgspec.json.decode(line.data, type=EntryInput)
    _check_text("question", given.question, LONGEST_QUERY)
    _check_text("answer", given.answer, LONGEST_ANSWER)
    variants = given.variants or []
    if len(variants) > MOST_VARIANTS:
        raise InvalidDocument(f"an entry has at most {MOST_VARIANTS:,} variants, not {len(variants):,}")
    for number, variant in enumerate(variants):
        _check_text(f"variants[{number}]", variant, LONGEST_QUERY)
    return Item(
        line=line.number,
        id=_checked_id(given.id, given.question, given.answer),
        title=given.question.strip(),
        text=given.answer,
        variants=[variant.strip() for variant in variants],
        metadata=given.metadata or {},
    )


def _check_text(name: str, text: str, limit: int) -> None:
    if not text.strip():
        raise InvalidDocument(f"{name} must not be empty")
    if len(text) > limit:
        raise InvalidDocument(f"{name} has {len(text):,} characters; the limit is {limit:,}")
    if UNSTORABLE.search(text):
        raise InvalidDocument(f"{name} must not contain NUL characters or lone surrogates")


def _checked_id(identifier: str | None, title: str, text: str) -> str:
    if identifier is None:
        return str(uuid5(ID_NAMESPACE, f"{title}\0{text}"))
    if not (0 < len(identifier) <= LONGEST_ID and identifier.isprintable() and identifier.strip()):
        raise InvalidDocument(f"id must have 1 to {LONGEST_ID} printable characters")
    return identifier


def _id_of(line: Line) -> str | None:
    with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        identifier = msgspec.json.decode(line.data, type=_Named).id
        return identifier[:LONGEST_ID] if isinstance(identifier, str) else None
    return None
