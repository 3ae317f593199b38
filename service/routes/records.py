"""What documents and entries have in common: listing, reading and deleting by id or by filter."""

from base64 import b64decode, urlsafe_b64encode
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from litestar.params import QueryParameter
from msgspec import Struct

from service.errors import FieldError, InvalidRequest, UnknownDocument
from service.models import Collection, Kind, Record
from service.stores.base import Deletion
from service.stores.catalog import check_kind, find_collection
from service.stores.filters import parse_filter
from service.wiring import Services

ListLimit = Annotated[int, QueryParameter(ge=1, le=1000)]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the page before")]


class DeleteRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which documents to delete."""

    filters: dict[str, Any]


class RecordPage(Struct, frozen=True):
    """Some records in the order of their ids."""

    records: list[Record]
    next_cursor: str | None


async def find_kind(services: Services, tenant: str, name: str, kind: Kind) -> Collection:
    """Return the collection; raises UnknownCollection, or Conflict where it is of the other kind."""
    collection = await find_collection(services.store, tenant, name)
    check_kind(collection, kind)
    return collection


async def read_page(services: Services, collection: Collection, limit: int, cursor: str | None) -> RecordPage:
    """Return the records after the cursor."""
    records = await services.store.list_records(collection, _id_of(cursor), limit + 1)
    page = records[:limit]
    next_cursor = urlsafe_b64encode(page[-1].id.encode()).decode() if len(records) > limit else None
    return RecordPage(page, next_cursor)


async def read_record(services: Services, collection: Collection, identifier: str) -> Record:
    """Return one record; raises UnknownDocument."""
    found = await services.store.records(collection, [identifier])
    if not found:
        raise UnknownDocument(f"Collection {collection.name!r} has no document {identifier!r}.")
    return found[0]


async def delete_record(services: Services, collection: Collection, identifier: str) -> Deletion:
    """Delete one record; raises UnknownDocument where there is none."""
    deletion = await services.writer.delete(collection, [identifier])
    if not deletion.deleted:
        raise UnknownDocument(f"Collection {collection.name!r} has no document {identifier!r}.")
    return deletion


async def delete_records(services: Services, collection: Collection, request: DeleteRequest) -> Deletion:
    """Delete what meets the filters; raises InvalidRequest where they say nothing."""
    where = parse_filter(request.filters, collection.fields)
    if where is None:
        detail = "say which documents; to delete all of them, delete the collection"
        raise InvalidRequest(FieldError("/filters", detail))
    return await services.writer.delete_matching(collection, where)


def decoded_id(document_id: str) -> str:
    """Return the id that a path holds percent-encoded."""
    try:
        return unquote_to_bytes(document_id.removeprefix("/")).decode()
    except UnicodeDecodeError:
        raise InvalidRequest(FieldError("", "the id in the path is not percent-encoded UTF-8")) from None


def _id_of(cursor: str | None) -> str:
    try:
        return b64decode(cursor, altchars=b"-_", validate=True).decode() if cursor else ""
    except ValueError:
        raise InvalidRequest(FieldError("?cursor", "not a next_cursor of this listing")) from None
