"""Documents and entries to the records and passages that are stored of them."""

from collections.abc import Iterator

from service.ingest.chunking import Chunker
from service.ingest.hashing import content_hash
from service.ingest.models import Fitted
from service.models import Kind, Passage, Record, passage_id


def record_of(fitted: Fitted, tag: str, updated_at: str) -> Record:
    """Return what is kept of a document beside its passages; `tag` is that of the shape they have."""
    item = fitted.item
    return Record(
        id=item.id,
        title=item.title,
        text=item.text,
        metadata=fitted.metadata,
        variants=item.variants,
        content_hash=content_hash(item, fitted.metadata, tag),
        updated_at=updated_at,
    )


def passages_of(record: Record, kind: Kind, chunker: Chunker) -> list[Passage]:
    """Return the passages in their order: of an entry one for each way to ask."""
    parts = _chunks(record, chunker) if kind == "documents" else _questions(record)
    return [
        Passage(
            id=passage_id(record.id, position),
            document_id=record.id,
            position=position,
            title=record.title,
            text=text,
            context=context,
            metadata=record.metadata,
            answer=record.text if kind == "faq" else None,
        )
        for position, (text, context) in enumerate(parts)
    ]


def _chunks(record: Record, chunker: Chunker) -> Iterator[tuple[str, str]]:
    return ((chunk.text, chunk.context) for chunk in chunker.split(record.title, record.text))


def _questions(record: Record) -> Iterator[tuple[str, str]]:
    return ((question, "") for question in dict.fromkeys([record.title, *record.variants]))
