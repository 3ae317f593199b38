"""How a request's body is read."""

import asyncio
from typing import Any, ClassVar

import pytest
from litestar import post
from litestar.types import HTTPReceiveMessage

from service.errors import MalformedBody
from service.routes.requests import ServiceRequest


class Impatient(ServiceRequest):
    """Waits for a piece of the body no longer than a test wants to."""

    longest_pause_seconds: ClassVar[float] = 0.01


@post("/", request_max_body_size=100)
async def taker() -> None:
    """Stand for a route."""


async def read_of_a_caller_who_vanishes() -> None:
    messages: asyncio.Queue[HTTPReceiveMessage] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"first", "more_body": True})
    scope: Any = {"type": "http", "headers": [], "state": {}, "path": "/", "route_handler": taker}
    await Impatient(scope, messages.get).body()


def test_a_body_that_does_not_go_on_is_given_up() -> None:
    with pytest.raises(MalformedBody, match="did not go on"):
        asyncio.run(read_of_a_caller_who_vanishes())
