"""Finding the collection that a request names, or saying clearly why it cannot be used."""

from service.errors import Conflict, FieldError, InvalidRequest, UnknownCollection
from service.models import NAME_PATTERN, Collection, Kind
from service.stores.base import Store


def check_name(name: str, pointer: str = "/collection") -> None:
    """Raise InvalidRequest where the name cannot be a collection's."""
    if not NAME_PATTERN.fullmatch(name):
        detail = "a collection's name begins with a letter and holds a-z, 0-9 and _, at most 63 characters"
        raise InvalidRequest(FieldError(pointer, detail))


async def find_collection(store: Store, tenant: str, name: str) -> Collection:
    """Return the catalog's entry; raises UnknownCollection naming those there are."""
    check_name(name)
    if (collection := await store.collection(tenant, name)) is None:
        raise UnknownCollection(name, [known.name for known in await store.collections(tenant)])
    return collection


async def find_searchable(store: Store, tenant: str, name: str, kind: Kind, fingerprint: str) -> Collection:
    """Return the entry if it is of this kind and its vectors are of the running model; else raises Conflict."""
    collection = await find_collection(store, tenant, name)
    check_kind(collection, kind)
    if collection.fingerprint != fingerprint:
        raise Conflict(
            f"The vectors of collection {name!r} were made by another embedding model ({collection.fingerprint}) than "
            f"the running one ({fingerprint}). Start the service with that model, or import the documents again.",
        )
    return collection


def check_kind(collection: Collection, kind: Kind) -> None:
    """Raise Conflict where the collection is of the other kind, naming the routes that fit it."""
    if collection.kind != kind:
        routes = "/faq/search and /entries" if collection.kind == "faq" else "/search and /documents"
        raise Conflict(f"Collection {collection.name!r} is of kind {collection.kind}, not {kind}; it takes {routes}.")
