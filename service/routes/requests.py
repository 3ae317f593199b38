"""Reading requests: JSON bodies whose every defect is the caller's 4xx, and what a handler needs of the request."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException, SerializationException

from service.access.base import Scope
from service.errors import BodyTooLarge, FieldError, InvalidRequest, MalformedBody
from service.routes.problems import field_error
from service.stages import Stages
from service.wiring import Services

LARGEST_BODY = 10_000_000
"""Bytes of a JSON body; NDJSON may be of any length."""


class ServiceRequest(Request[Any, Any, State]):
    """A request whose JSON is read strictly, and whose body ends or is the caller's 4xx."""

    longest_pause_seconds: ClassVar[float] = 60.0
    """Between two pieces of a body: of a caller that vanished nothing else tells."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body_ended = asyncio.Event()

    @property
    def joined_headers(self) -> Mapping[str, str]:
        """Headers by name in small letters, the lines of one name joined."""
        headers: Mapping[str, str] = self.scope["state"]["headers"]
        return headers

    def check_parameters(self, known: AbstractSet[str]) -> None:
        """Raise InvalidRequest for query parameters that are unknown or given twice."""
        given = [name for name, _ in self.query_params.multi_items()]
        wrong = {name: "unknown parameter" for name in given if name not in known}
        wrong |= {name: "given more than once" for name in known if given.count(name) > 1}
        if wrong:
            raise InvalidRequest(*(FieldError(f"?{name}", detail) for name, detail in sorted(wrong.items())))

    async def json(self) -> Any:
        """Return the body as the handler takes it; raises MalformedBody, and InvalidRequest where it does not fit.

        The framework would convert it leniently, and take 0 for false.
        """
        decoded = decode_json(await self.body())
        wanted = self.route_handler.parsed_data_field
        if wanted is None or not wanted.is_subclass_of(msgspec.Struct):
            return decoded
        try:
            return msgspec.convert(decoded, wanted.annotation)
        except msgspec.ValidationError as error:
            raise InvalidRequest(field_error(error)) from None

    async def stream(self) -> AsyncGenerator[bytes]:
        """Yield the body as it arrives; raises MalformedBody where it ends too early or does not go on."""
        pieces = super().stream()
        while True:
            try:
                async with asyncio.timeout(self.longest_pause_seconds):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise MalformedBody(f"The body did not go on for {self.longest_pause_seconds:g} s.") from None
            except InternalServerException:  # all that Litestar raises here: the caller is gone
                raise MalformedBody("The connection ended before the body.") from None
            if piece is None:
                self._body_ended.set()
                return
            yield piece

    @asynccontextmanager
    async def leaving(self) -> AsyncIterator[asyncio.Task[None]]:
        """Have a task in the block that is done once nobody waits for the answer any more."""
        leaving = asyncio.create_task(self._caller_left())
        try:
            yield leaving
        finally:
            leaving.cancel()

    async def _caller_left(self) -> None:
        """Return when the caller goes away after sending the whole body; before, `stream` tells."""
        await self._body_ended.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass


def decode_json(body: bytes) -> Any:
    """Decode JSON of any caller: invalid UTF-8, lone surrogates and any depth of nesting are MalformedBody."""
    try:
        return msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedBody("The body is nested too deeply.") from None
    except (msgspec.DecodeError, SerializationException) as error:
        raise MalformedBody(f"The body is not JSON: {error}.") from None


async def bounded_body(pieces: AsyncIterable[bytes]) -> bytes:
    """Read a body up to LARGEST_BODY; raises BodyTooLarge beyond, without reading the rest."""
    body = bytearray()
    async for chunk in pieces:
        body += chunk
        if len(body) > LARGEST_BODY:
            limit = f"{LARGEST_BODY // 1_000_000} MB"
            raise BodyTooLarge(f"A JSON body has at most {limit}; send more as application/x-ndjson, a line each.")
    return bytes(body)


def tenant_of(services: Services, headers: Mapping[str, str], scope: Scope) -> str:
    """Return whose data the caller sees; raises Unauthenticated, and Forbidden without the scope. From here alone."""
    return services.access.tenant(headers.get("authorization", ""), scope)


# Each of these depends on the one before: what is independent Litestar resolves in a task group, which costs 0.2 ms.
def tenant_of_caller(request: ServiceRequest, services: NamedDependency[Services]) -> str:  # noqa: ARG001  # see above
    """Return `tenant_of` the request, as the guard found it."""
    tenant: str = request.scope["state"]["tenant"]
    return tenant


def stages_of(request: ServiceRequest, tenant: NamedDependency[str]) -> Stages:  # noqa: ARG001  # see above
    """Return the stage times of this request, which the envelope began."""
    stages: Stages = request.scope["state"]["stages"]
    return stages
