"""`/collections`: creating, describing and deleting collections."""

from contextlib import suppress

from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from msgspec.structs import replace

from service.errors import Conflict, FieldError, InvalidRequest, UnknownCollection
from service.ingest.reindexing import ReindexRequest
from service.models import MOST_FIELDS, NAME_PATTERN, RESERVED_FIELDS, CachePolicy, Collection, FieldType, Kind
from service.routes.access import ADMIN, SEARCH, WRITE
from service.routes.problems import documented
from service.routes.reindexing import ReindexDescription, describe_reindex
from service.stores.catalog import check_name, find_collection
from service.wiring import Services


class CollectionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `PUT /collections/{name}` takes."""

    kind: Kind | None = None
    fields: dict[str, FieldType] = {}
    cache: CachePolicy | None = None


class CollectionDescription(Struct, frozen=True, kw_only=True):
    """A collection and its size."""

    name: str
    kind: Kind
    fields: dict[str, FieldType]
    cache: CachePolicy
    documents: int
    passages: int
    bytes: int
    version: str
    generation: int
    embedding_model: str
    passage_tokens: int
    """0: as long as the model reads."""
    reindex: ReindexDescription | None
    """The generation beside the one that is searched."""


CREATED = {201: ResponseSpec(CollectionDescription, description="created", generate_examples=False)}


class CollectionList(Struct, frozen=True):
    """All collections of the caller, by name."""

    collections: list[CollectionDescription]


@put("/collections/{name:str}", responses=CREATED | documented(400, 409, 413, 422, 503), opt=WRITE)
async def put_collection(
    name: FromPath[str],
    data: JSONBody[CollectionRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> Response[CollectionDescription]:
    """Create a collection (201), or add fields to one (200); a type or kind never changes."""
    check_name(name, "")
    _check_fields(data.fields)
    while True:
        existing = await services.store.collection(tenant, name)
        wanted = _merged(existing, data) if existing else _created(tenant, name, data, services)
        if wanted == existing:
            return Response(await describe(services, wanted))
        if stored := await services.store.put_collection(wanted, existing):
            return Response(await describe(services, stored), status_code=200 if existing else 201)


@get("/collections", responses=documented(503), opt=SEARCH)
async def list_collections(services: NamedDependency[Services], tenant: NamedDependency[str]) -> CollectionList:
    """List the collections."""
    described = []
    for collection in await services.store.collections(tenant):
        with suppress(UnknownCollection):  # deleted meanwhile
            described.append(await describe(services, collection))
    return CollectionList(described)


@get("/collections/{name:str}", responses=documented(404, 422, 503), opt=SEARCH)
async def get_collection(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> CollectionDescription:
    """Describe a collection."""
    return await describe(services, await find_collection(services.store, tenant, name))


@delete("/collections/{name:str}", responses=documented(404, 422, 503), opt=ADMIN)
async def delete_collection(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> None:
    """Delete a collection and all that it holds."""
    await find_collection(services.store, tenant, name)
    await services.store.delete_collection(tenant, name)


@post("/collections/{name:str}/reindex", status_code=202, responses=documented(400, 404, 409, 413, 422, 503), opt=ADMIN)
async def reindex_collection(
    name: FromPath[str],
    data: JSONBody[ReindexRequest],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> CollectionDescription:
    """Build the next generation, with another model or length of passages, while the live one serves."""
    return await describe(services, await services.reindexer.start(tenant, name, data))


@delete("/collections/{name:str}/reindex", status_code=200, responses=documented(404, 409, 422, 503), opt=ADMIN)
async def drop_generation(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> CollectionDescription:
    """Give up a reindex, or drop the generation that is kept for a rollback."""
    return await describe(services, await services.reindexer.drop(tenant, name))


@post("/collections/{name:str}/rollback", status_code=200, responses=documented(404, 409, 422, 503), opt=ADMIN)
async def roll_collection_back(
    name: FromPath[str],
    services: NamedDependency[Services],
    tenant: NamedDependency[str],
) -> CollectionDescription:
    """Go back to the kept generation, and keep the present one."""
    return await describe(services, await services.reindexer.rollback(tenant, name))


def _check_fields(fields: dict[str, FieldType]) -> None:
    wrong = [
        FieldError(
            f"/fields/{name}", "reserved" if name in RESERVED_FIELDS else "a field's name is [a-z][a-z0-9_]{0,62}"
        )
        for name in fields
        if name in RESERVED_FIELDS or not NAME_PATTERN.fullmatch(name)
    ]
    if len(fields) > MOST_FIELDS:
        wrong.append(FieldError("/fields", f"at most {MOST_FIELDS} fields"))
    if wrong:
        raise InvalidRequest(*wrong)


def _created(tenant: str, name: str, data: CollectionRequest, services: Services) -> Collection:
    return Collection(
        tenant=tenant,
        name=name,
        kind=data.kind or "documents",
        fields=data.fields,
        cache=data.cache or "default",
        fingerprint=services.embedder.card.fingerprint,
    )


def _merged(existing: Collection, data: CollectionRequest) -> Collection:
    if data.kind not in {None, existing.kind}:
        raise Conflict(f"Collection {existing.name!r} is of kind {existing.kind}; a kind never changes.")
    for name, kind in data.fields.items():
        if existing.fields.get(name, kind) != kind:
            raise Conflict(f"Field {name!r} is of type {existing.fields[name]}; a type never changes.")
    return replace(existing, fields=existing.fields | data.fields, cache=data.cache or existing.cache)


async def describe(services: Services, collection: Collection) -> CollectionDescription:
    """Return what callers see of a collection."""
    size = await services.store.size(collection)
    return CollectionDescription(
        name=collection.name,
        kind=collection.kind,
        fields=collection.fields,
        cache=collection.cache,
        documents=size.documents,
        passages=size.passages,
        bytes=size.bytes,
        version=collection.version,
        generation=collection.generation,
        embedding_model=collection.fingerprint,
        passage_tokens=collection.passage_tokens,
        reindex=describe_reindex(services, collection),
    )
