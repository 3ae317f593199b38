"""`/collections/{name}/entries`: importing, listing, reading and deleting FAQ entries."""

from typing import Any, Final

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from service.models import Metadata
from service.routes import records
from service.routes.access import SEARCH, WRITE
from service.routes.imports import ImportOperation, import_body
from service.routes.problems import documented
from service.routes.records import Cursor, DeleteRequest, ListLimit, decoded_id
from service.routes.requests import ServiceRequest
from service.stores.base import Deletion
from service.wiring import Services

BY_ID: Final = ["/collections/{name:str}/entries/{entry_id:path}", "/collections/{name:str}/entries/delete"]
"""The second is taken by a route of another method: there the id is `delete`."""
KIND: Final = "faq"


class EntrySummary(Struct, frozen=True):
    """An entry in a listing."""

    id: str
    question: str
    metadata: Metadata
    updated_at: str


class EntryList(Struct, frozen=True):
    """A page of entries, ordered by id."""

    entries: list[EntrySummary]
    next_cursor: str | None


class Entry(Struct, frozen=True):
    """A FAQ entry as ingested."""

    id: str
    question: str
    variants: list[str]
    answer: str
    metadata: Metadata
    updated_at: str


@post(
    "/collections/{name:str}/entries",
    status_code=200,
    request_max_body_size=None,  # NDJSON may be of any length; JSON is bounded where it is read
    operation_class=ImportOperation,
    responses=documented(400, 409, 413, 422, 503),
    opt=WRITE,
)
async def import_entries(
    request: ServiceRequest,
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Response[Any]:
    """Import one entry, a JSON array of them, or NDJSON of any length."""
    return await import_body(request, services, tenant, name, KIND)


@get("/collections/{name:str}/entries", responses=documented(404, 409, 422, 503), opt=SEARCH)
async def list_entries(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    limit: ListLimit = 100,
    cursor: Cursor = None,
) -> EntryList:
    """List entries in the order of their ids."""
    collection = await records.find_kind(services, tenant, name, KIND)
    page = await records.read_page(services, collection, limit, cursor)
    entries = [EntrySummary(record.id, record.title, record.metadata, record.updated_at) for record in page.records]
    return EntryList(entries, page.next_cursor)


@get(BY_ID, responses=documented(404, 409, 422, 503), opt=SEARCH)
async def get_entry(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    entry_id: FromPath[str] = "delete",
) -> Entry:
    """Return an entry as ingested."""
    collection = await records.find_kind(services, tenant, name, KIND)
    record = await records.read_record(services, collection, decoded_id(entry_id))
    return Entry(record.id, record.title, record.variants, record.text, record.metadata, record.updated_at)


@delete(
    BY_ID,
    status_code=200,
    responses=documented(404, 409, 422, 503),
    opt=WRITE,
)
async def delete_entry(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    entry_id: FromPath[str] = "delete",
) -> Deletion:
    """Delete an entry."""
    collection = await records.find_kind(services, tenant, name, KIND)
    return await records.delete_record(services, collection, decoded_id(entry_id))


@post(
    "/collections/{name:str}/entries/delete",
    status_code=200,
    responses=documented(400, 404, 409, 413, 422, 503),
    opt=WRITE,
)
async def delete_entries(
    name: FromPath[str],
    data: JSONBody[DeleteRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Deletion:
    """Delete the entries that meet filters."""
    collection = await records.find_kind(services, tenant, name, KIND)
    return await records.delete_records(services, collection, data)
