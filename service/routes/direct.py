"""Searches answered before the framework begins its work, which costs more than a hit does.

Takes `POST /search` and `/faq/search` with a short body that can be decoded, and answers them by the same calls as the
routes do. All else goes on to the routes unchanged. A test holds the two to the same answers.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, ReceiveMessage, Scope, Send

from service.errors import RetrievalError
from service.models import SearchRequest
from service.routes.caching import JSON, demands_of, headers_of, is_known
from service.routes.problems import MEDIA_TYPE, headers_of_problem, problem_of
from service.routes.requests import ServiceRequest, tenant_of
from service.search.answering import Answering
from service.search.faq import FaqRequest
from service.wiring import Services

MOST_DIGITS: Final = 5
"""Of the length of a body that is looked at here."""
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class Direct:
    """An ASGI application before the one that holds the routes."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._answering: dict[str, tuple[msgspec.json.Decoder[Any], Answering[Any, Any]]] = {
            "/search": (msgspec.json.Decoder(SearchRequest), services.search)
        }
        if services.settings.faq_enabled:
            self._answering["/faq/search"] = msgspec.json.Decoder(FaqRequest), services.faq

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a search, or pass the request on."""
        path = scope["path"] if scope["type"] == ScopeType.HTTP and scope["method"] == "POST" else ""
        if path not in self._answering:
            await self._app(scope, receive, send)
            return
        scope["path_template"] = path
        headers: Mapping[str, str] = scope["state"]["headers"]
        try:
            tenant = tenant_of(self._services, headers, "search")
        except RetrievalError as error:
            await _send(send, *_refusal(error, scope["state"]))
            return
        messages = await _body_of(receive, headers.get("content-length", ""))
        decoder, answering = self._answering[path]
        try:
            request = decoder.decode(b"".join([_bytes_of(one) for one in messages]))
        except UNREADABLE:  # the route says what is wrong
            await self._app(scope, _beginning_with(messages, receive), send)
            return
        await _send(send, *await _reply(answering, tenant, request, scope["state"]))


async def _reply(answering: Answering[Any, Any], tenant: str, request: object, state: dict[str, Any]) -> Reply:
    headers: Mapping[str, str] = state["headers"]
    try:
        answer = await answering.answer(tenant, request, demands_of(headers, tenant), state["stages"])
    except Exception as error:  # noqa: BLE001  # as the routes do with whatever is raised
        return _refusal(error, state)
    if is_known(answer, headers.get("if-none-match")):
        return 304, headers_of(answer), b""
    return 200, headers_of(answer) | {"content-type": JSON}, answer.body


def _refusal(error: Exception, state: dict[str, Any]) -> Reply:
    problem = state["problem"] = problem_of(error)
    more = headers_of_problem(problem) | {"content-type": MEDIA_TYPE}
    return problem.status, more, msgspec.json.encode(problem)


async def _body_of(receive: Receive, length: str) -> list[ReceiveMessage]:
    """Take the messages of a short body that says how long it is; of others, none."""
    messages: list[ReceiveMessage] = []
    missing = int(length) if length.isdecimal() and len(length) <= MOST_DIGITS else 0
    with suppress(TimeoutError):  # the route will wait for the rest, and say so
        async with asyncio.timeout(ServiceRequest.longest_pause_seconds):
            while missing > 0:
                messages.append(message := await receive())
                missing -= len(_bytes_of(message))
                if not message.get("more_body"):
                    break
    return messages


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _bytes_of(message: ReceiveMessage) -> bytes:
    body: bytes = message.get("body", b"")  # type: ignore[assignment]  # it is what a request's message has there
    return body


def _beginning_with(messages: list[ReceiveMessage], receive: Receive) -> Receive:
    """Return a `receive` that first gives once more the messages that were taken."""

    async def again() -> ReceiveMessage:
        return messages.pop(0) if messages else await receive()

    return again
