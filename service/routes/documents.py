"""`/collections/{name}/documents` and `/files`: importing, listing, reading and deleting documents."""

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, MultipartBody
from msgspec import Meta, Struct
from msgspec.structs import replace

from service.ingest.parsing import LARGEST_FILE, parse_file
from service.models import Metadata
from service.routes import records
from service.routes.access import SEARCH, WRITE
from service.routes.imports import ImportOperation, as_lines, import_body, import_lines
from service.routes.problems import documented, unreadable_form
from service.routes.records import Cursor, DeleteRequest, ListLimit, decoded_id
from service.routes.requests import ServiceRequest
from service.stores.base import Deletion
from service.wiring import Services

BY_ID: Final = ["/collections/{name:str}/documents/{document_id:path}", "/collections/{name:str}/documents/delete"]
"""The second is taken by a route of another method: there the id is `delete`."""
KIND: Final = "documents"


class DocumentSummary(Struct, frozen=True):
    """A document in a listing."""

    id: str
    title: str
    metadata: Metadata
    updated_at: str


class DocumentList(Struct, frozen=True):
    """A page of documents, ordered by id."""

    documents: list[DocumentSummary]
    next_cursor: str | None


class Document(Struct, frozen=True):
    """A document as ingested."""

    id: str
    title: str
    text: str
    metadata: Metadata
    updated_at: str


class Upload(Struct, frozen=True):
    """A file, and the id of its document where that is not the file's name."""

    file: UploadFile
    id: Annotated[str, Meta(min_length=1, max_length=512)] | None = None


@post(
    "/collections/{name:str}/documents",
    status_code=200,
    request_max_body_size=None,  # NDJSON may be of any length; JSON is bounded where it is read
    operation_class=ImportOperation,
    responses=documented(400, 409, 413, 422, 503),
    opt=WRITE,
)
async def import_documents(
    request: ServiceRequest,
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Response[Any]:
    """Import one document, a JSON array of them, or NDJSON of any length."""
    return await import_body(request, services, tenant, name, KIND)


@post(
    "/collections/{name:str}/files",
    status_code=200,
    request_max_body_size=LARGEST_FILE,
    exception_handlers={UnicodeDecodeError: unreadable_form, LookupError: unreadable_form},
    responses=documented(400, 409, 413, 422, 503),
    opt=WRITE,
)
async def import_file(
    request: ServiceRequest,
    name: FromPath[str],
    data: MultipartBody[Upload],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Response[Any]:
    """Import a .md, .rst, .txt, .html, .pdf or .docx file as one document."""
    content = await data.file.read()
    document = await asyncio.to_thread(parse_file, data.file.filename, content)
    line = msgspec.json.encode(replace(document, id=data.id or document.id))
    return await import_lines(request, services, tenant, name, KIND, as_lines([line]))


@get("/collections/{name:str}/documents", responses=documented(404, 409, 422, 503), opt=SEARCH)
async def list_documents(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    limit: ListLimit = 100,
    cursor: Cursor = None,
) -> DocumentList:
    """List documents in the order of their ids."""
    collection = await records.find_kind(services, tenant, name, KIND)
    page = await records.read_page(services, collection, limit, cursor)
    documents = [
        DocumentSummary(record.id, record.title, record.metadata, record.updated_at) for record in page.records
    ]
    return DocumentList(documents, page.next_cursor)


@get(BY_ID, responses=documented(404, 409, 422, 503), opt=SEARCH)
async def get_document(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    document_id: FromPath[str] = "delete",
) -> Document:
    """Return a document as ingested."""
    collection = await records.find_kind(services, tenant, name, KIND)
    record = await records.read_record(services, collection, decoded_id(document_id))
    return Document(record.id, record.title, record.text, record.metadata, record.updated_at)


@delete(
    BY_ID,
    status_code=200,
    responses=documented(404, 409, 422, 503),
    opt=WRITE,
)
async def delete_document(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
    document_id: FromPath[str] = "delete",
) -> Deletion:
    """Delete a document."""
    collection = await records.find_kind(services, tenant, name, KIND)
    return await records.delete_record(services, collection, decoded_id(document_id))


@post(
    "/collections/{name:str}/documents/delete",
    status_code=200,
    responses=documented(400, 404, 409, 413, 422, 503),
    opt=WRITE,
)
async def delete_documents(
    name: FromPath[str],
    data: JSONBody[DeleteRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Deletion:
    """Delete the documents that meet filters."""
    collection = await records.find_kind(services, tenant, name, KIND)
    return await records.delete_records(services, collection, data)
