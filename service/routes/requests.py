"""Reading requests: JSON bodies whose every defect is the caller's 4xx, and what a handler needs of the request."""

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import SerializationException

from service.errors import BodyTooLarge, MalformedBody
from service.models import DEFAULT_TENANT
from service.telemetry import Stages

LARGEST_BODY = 10_000_000
"""Bytes of a JSON body; NDJSON may be of any length."""


class ServiceRequest(Request[Any, Any, State]):
    """A request whose JSON is read strictly."""

    async def json(self) -> Any:
        """Return the body as JSON; raises MalformedBody where it is none."""
        return decode_json(await self.body())


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


async def bounded_body(request: ServiceRequest) -> bytes:
    """Read the body up to LARGEST_BODY; raises BodyTooLarge beyond, without reading the rest."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            limit = f"{LARGEST_BODY // 1_000_000} MB"
            raise BodyTooLarge(f"A JSON body has at most {limit}; send more as application/x-ndjson, a line each.")
    return bytes(body)


def stages_of(request: ServiceRequest) -> Stages:
    """Return the stage times of this request, which the envelope began."""
    stages: Stages = request.scope["state"]["stages"]
    return stages


def tenant_of_caller() -> str:
    """Return whose data the caller sees. Without API keys there is one tenant."""
    return DEFAULT_TENANT
