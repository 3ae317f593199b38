"""Passages and records as objects of Weaviate, and back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from google.protobuf.struct_pb2 import Struct as Values
from msgspec import structs
from weaviate.proto.v1 import base_pb2 as base
from weaviate.proto.v1 import batch_pb2 as batches

from service.models import Collection, Passage, Record
from service.stores.base import EmbeddedDocument
from service.stores.weaviate.fields import properties_of
from service.stores.weaviate.keywords import Analyser
from service.stores.weaviate.schema import RECORDS, passages_class

RECORD_NAMESPACE: Final = UUID("0b6ce3b5-5c53-5f4e-9d0c-3b8f8a9d5a11")


def record_id(document_id: str) -> str:
    """Return the id of a document's record: the same at every import, so that rewriting overwrites."""
    return str(uuid5(RECORD_NAMESPACE, document_id))


def passage_objects(
    collection: Collection, documents: Iterable[EmbeddedDocument], analyser: Analyser
) -> Iterator[batches.BatchObject]:
    """Yield the passages of documents."""
    for document in documents:
        for passage, vector in zip(document.passages, document.vectors, strict=True):
            properties = _searched(passage, document.record, collection)
            kept = {name: value for name, value in structs.asdict(passage).items() if name != "id"}
            properties["passage"] = msgspec.json.encode(kept).decode()
            properties["terms"] = analyser.terms(passage.content)
            yield batches.BatchObject(
                uuid=passage.id,
                collection=passages_class(collection.name),
                tenant=collection.physical,
                vector_bytes=vector.astype("<f4").tobytes(),
                properties=as_properties(properties),
            )


def record_objects(
    collection: Collection, documents: Iterable[EmbeddedDocument], *, is_done: bool
) -> Iterator[batches.BatchObject]:
    """Yield the records of documents; before all else is written, without what tells that nothing is to be done."""
    for document in documents:
        record = document.record
        properties = {
            "record": msgspec.json.encode(record).decode(),
            "content_hash": record.content_hash if is_done else "",
        }
        yield batches.BatchObject(
            uuid=record_id(record.id),
            collection=RECORDS,
            tenant=collection.physical,
            properties=as_properties(properties),
        )


def to_passage(identifier: str, encoded: str) -> Passage:
    """Return the passage that an object holds."""
    return Passage(id=identifier, **msgspec.json.decode(encoded))


def to_record(encoded: str) -> Record:
    """Return the record that an object holds."""
    return RECORD.decode(encoded)


RECORD: Final = msgspec.json.Decoder(Record)


def _searched(passage: Passage, record: Record, collection: Collection) -> dict[str, Any]:
    built_in = {"document_id": passage.document_id, "title": passage.title, "position": passage.position}
    dated = {"updated_at": record.updated_at} if record.updated_at else {}
    return properties_of({**passage.metadata, **built_in, **dated}, collection.fields)


def as_properties(values: Mapping[str, Any]) -> batches.BatchObject.Properties:
    """Return the message of text, lists of text, numbers and booleans by their names; an empty list is left out."""
    plain = Values()
    plain.update({name: value for name, value in values.items() if not isinstance(value, list)})
    lists = [(name, value) for name, value in values.items() if isinstance(value, list) and value]
    return batches.BatchObject.Properties(non_ref_properties=plain, text_array_properties=_texts(lists))


def _texts(lists: Sequence[tuple[str, list[str]]]) -> list[base.TextArrayProperties]:
    return [base.TextArrayProperties(prop_name=name, values=values) for name, values in lists]
