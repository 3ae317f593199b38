"""Finding the collection that a request names, or saying clearly why it cannot be used."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from msgspec import structs

from service.embedders.base import Embedders
from service.errors import CollectionChanged, Conflict, FieldError, InvalidRequest, UnknownCollection
from service.models import NAME_PATTERN, Collection, FieldType, Kind
from service.stores.base import Store
from service.stores.filters import BUILT_IN_FIELDS


def check_name(name: str, pointer: str = "/collection") -> None:
    """Raise InvalidRequest where the name cannot be a collection's."""
    if not NAME_PATTERN.fullmatch(name):
        detail = "a collection's name begins with a letter and holds a-z, 0-9 and _, at most 63 characters"
        raise InvalidRequest(FieldError(pointer, detail))


async def unknown_collection(store: Store, tenant: str, name: str) -> UnknownCollection:
    """Return the error that says so, naming the collections that there are."""
    return UnknownCollection(name, [known.name for known in await store.collections(tenant)])


def type_of(collection: Collection, field: str) -> FieldType:
    """Return the type of a declared or built-in field."""
    return BUILT_IN_FIELDS.get(field) or collection.fields[field]


async def find_collection(store: Store, tenant: str, name: str) -> Collection:
    """Return the catalog's entry; raises UnknownCollection naming those there are."""
    check_name(name)
    if (collection := await store.collection(tenant, name)) is None:
        raise await unknown_collection(store, tenant, name)
    return collection


async def find_searchable(store: Store, embedders: Embedders, tenant: str, name: str, kind: Kind) -> Collection:
    """Return the entry if it is of this kind and its vectors are of its model as it is here; else raises Conflict.

    Raises ModelUnavailable where that model cannot be loaded.
    """
    collection = await find_collection(store, tenant, name)
    check_kind(collection, kind)
    fingerprint = (await embedders.of(collection.model)).card.fingerprint
    if collection.fingerprint != fingerprint:
        raise Conflict(
            f"The vectors of collection {name!r} were made by another embedding model ({collection.fingerprint}) than "
            f"the running one ({fingerprint}). Start the service with that model, import the documents again, or have "
            f"them embedded anew: POST /collections/{name}/reindex.",
        )
    return collection


def check_kind(collection: Collection, kind: Kind) -> None:
    """Raise Conflict where the collection is of the other kind, naming the routes that fit it."""
    if collection.kind != kind:
        routes = "/faq/search and /entries" if collection.kind == "faq" else "/search and /documents"
        raise Conflict(f"Collection {collection.name!r} is of kind {collection.kind}, not {kind}; it takes {routes}.")


def check_generation(current: Collection, addressed: Collection) -> None:
    """Raise CollectionChanged where a write was made for other generations than there are now.

    Who writes to the live generation must know of the one beside it, to which it writes too; and what is written beside
    must not meet what has become the live one.
    """
    *beside, _ = current.places
    if addressed.physical not in beside if addressed.is_beside else addressed.places != current.places:
        raise CollectionChanged(f"Collection {current.name!r} was changed meanwhile; send it again.")


def placed(collection: Collection, known: AbstractSet[str], new_place: Callable[[], str]) -> Collection:
    """Return the entry with a new place for each generation that has none among the known."""

    def place(physical: str) -> str:
        return physical if physical in known else new_place()

    other = collection.other
    return structs.replace(
        collection,
        physical=place(collection.physical),
        other=other and structs.replace(other, physical=place(other.physical)),
        is_beside=False,
    )
