"""What an import takes and what it answers."""

from typing import Any

from msgspec import Struct

from service.models import Metadata

MOST_FAILURES_LISTED = 100


class DocumentInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document as a caller sends it; only the text is required. Nulls are as good as absent."""

    id: str | None = None
    """Derived from title and text where absent."""
    title: str | None = None
    """The first heading of the text where absent."""
    text: str
    metadata: dict[str, Any] | None = None


class EntryInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A FAQ entry as a caller sends it."""

    id: str | None = None
    """Derived from question and answer where absent."""
    question: str
    variants: list[str] | None = None
    answer: str
    metadata: dict[str, Any] | None = None


class Item(Struct, frozen=True, kw_only=True):
    """A document or an entry that is in order but for its metadata, which the collection's fields decide on."""

    line: int
    id: str
    title: str
    """Of an entry the question."""
    text: str
    """Of an entry the answer."""
    variants: list[str] = []
    metadata: Metadata


class Fitted(Struct, frozen=True):
    """A document whose metadata the collection's fields take."""

    item: Item
    metadata: Metadata


class FailedLine(Struct, frozen=True):
    """A line that could not be taken; the others were not held up by it."""

    line: int
    """Counts from 1, blank lines too."""
    id: str | None
    error: str


class ImportReport(Struct, frozen=True, kw_only=True):
    """What was done up to here; received = created + updated + unchanged + superseded + failures."""

    collection: str
    version: str
    """After the last acknowledged write; empty while the collection does not exist."""
    received: int
    created: int
    updated: int
    unchanged: int
    superseded: int
    """Lines whose id came again later in the same request."""
    passages: int
    """Passages embedded and written."""
    failed: list[FailedLine]
    """The first hundred."""
    failures: int
