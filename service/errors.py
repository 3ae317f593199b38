"""Every error that the product raises on purpose. Routes turn them into problem details in one place."""

from collections.abc import Iterable

from msgspec import Struct


class FieldError(Struct, frozen=True):
    """One thing that is wrong with a request: a JSON pointer into it, and what to do."""

    pointer: str
    detail: str


class RetrievalError(Exception):
    """Base of all. The message is for the caller: what is wrong and what to do about it."""


class InvalidRequest(RetrievalError):
    """The request is understood and wrong; `errors` point at what."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.pointer or '/'}: {error.detail}" for error in errors))
        self.errors = errors


class MalformedBody(RetrievalError):
    """The body is not what its content type says."""


class BodyTooLarge(RetrievalError):
    """The body is larger than the route takes."""


class UnknownCollection(RetrievalError):
    """No such collection; the message names those there are."""

    def __init__(self, name: str, existing: Iterable[str]) -> None:
        names = ", ".join(sorted(existing)) or "none yet: the first import creates one"
        super().__init__(f"There is no collection {name!r}. Existing collections: {names}.")


class UnknownDocument(RetrievalError):
    """No such document or entry in the collection."""


class Conflict(RetrievalError):
    """What is asked contradicts what exists: the wrong kind of collection, or a field of another type."""


class InvalidDocument(RetrievalError):
    """One document of an import cannot be taken; its line fails alone."""


class InvalidSettings(RetrievalError):
    """A setting has a value that cannot be used; the message names it."""


class DataDirectoryError(RetrievalError):
    """The data directory is owned by another process, of another format, or cannot be used."""


class InvalidKeyFile(RetrievalError):
    """The file of API keys is not there, cannot be used or cannot be written; the message says where and why."""


class Unauthenticated(RetrievalError):
    """The caller sent no API key, or none that there is."""


class Forbidden(RetrievalError):
    """The caller's API key lacks the scope; the message names it. Nothing of what is asked for was looked at."""


class StoreUnavailable(RetrievalError):
    """The store did not answer; the same request may succeed later."""


class CollectionChanged(RetrievalError):
    """The collection got or lost a generation since its entry was read; what is done again with the new entry fits."""


class RedisUnavailable(RetrievalError):
    """Redis did not answer well and in time. Reads go on without it, writes that it coordinates wait for it."""


class NotCached(RetrievalError):
    """The caller wants a cached answer only, and there is none."""


class ModelUnavailable(RetrievalError):
    """The embedding model cannot be loaded, or is not the one it should be."""


class DeadlineExceeded(RetrievalError):
    """The request ran longer than its deadline."""


class CallerLeft(RetrievalError):
    """Nobody waits for the answer any more."""


class Stopping(RetrievalError):
    """The service stops before the request is done; it may be sent again, here or elsewhere."""


class Overloaded(RetrievalError):
    """More is asked than can be computed; what is refused now may be asked again shortly."""


class SwitchedOff(RetrievalError):
    """A setting switches this part of the service off."""
