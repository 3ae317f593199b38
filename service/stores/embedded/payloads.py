"""What stands in the index beside a passage's vector: all that a hit shows, and what filters read."""

from collections.abc import Mapping
from typing import Any, Final

from service.models import FieldType, Metadata, Passage
from service.stores.embedded.documents import StoredDocument
from service.stores.filters import BUILT_IN_FIELDS, canonical_value

CANONICAL_TYPES: Final = ("date", "boolean")
"""Of fields that filters read in another form than the caller gave."""


def key_of(field: str, field_type: FieldType) -> str:
    """Return the payload's key that conditions on a field read."""
    if field in BUILT_IN_FIELDS:
        return field
    return f"canonical.{field}" if field_type in CANONICAL_TYPES else f"metadata.{field}"


def to_payloads(document: StoredDocument, fields: Mapping[str, FieldType]) -> list[dict[str, Any]]:
    """Return the payload of each of the document's passages."""
    updated_at = {"updated_at": document.record.updated_at} if document.record.updated_at else {}
    return [
        {
            "document_id": passage.document_id,
            "title": passage.title,
            "position": passage.position,
            "content": passage.content,
            "start": len(passage.content) - len(passage.text),
            "metadata": passage.metadata,
            "canonical": _canonical(passage.metadata, fields),
            "seq": document.seq,
            **({} if passage.answer is None else {"answer": passage.answer}),
            **updated_at,
        }
        for passage in document.passages
    ]


def to_passage(point_id: object, payload: Mapping[str, Any]) -> Passage:
    """Return the passage that a payload was made of."""
    content, start = payload["content"], payload["start"]
    return Passage(
        id=str(point_id),
        document_id=payload["document_id"],
        position=payload["position"],
        title=payload["title"],
        text=content[start:],
        context=content[: start - 1] if start else "",
        metadata=payload["metadata"],
        answer=payload.get("answer"),
    )


def _canonical(metadata: Metadata, fields: Mapping[str, FieldType]) -> dict[str, Any]:
    """Return dates in UTC, and booleans as 0 and 1: MatchValue of qdrant-edge 0.9 takes True for the integer 1."""
    found: dict[str, Any] = {}
    for name, value in metadata.items():
        if fields.get(name) == "date":
            found[name] = canonical_value(value, "date")
        elif fields.get(name) == "boolean":
            found[name] = int(value)
    return found
