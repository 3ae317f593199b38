"""Answers in memory, given before the framework begins its work: four fifths of what such an answer would cost.

Only hits are answered here, by the same calls that the routes make. All else goes on to the routes unchanged, the
caller's mistakes too, so that nothing but speed depends on this file.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, ReceiveMessage, Scope, Send

from service.errors import RetrievalError
from service.models import DEFAULT_TENANT, SearchRequest
from service.routes.answers import JSON, demands_of, headers_of, is_known
from service.routes.requests import ServiceRequest
from service.search.answering import Answer, Answering
from service.search.faq import FaqRequest
from service.telemetry import Telemetry
from service.wiring import Services

MOST_DIGITS: Final = 5
"""Of the length of a body that is looked at here."""


class Hits:
    """An ASGI application before the one that holds the routes."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._telemetry: Telemetry = services.telemetry
        self._answering: dict[str, tuple[msgspec.json.Decoder[Any], Answering[Any, Any]]] = {
            "/search": (msgspec.json.Decoder(SearchRequest), services.search)
        }
        if services.settings.faq_enabled:
            self._answering["/faq/search"] = msgspec.json.Decoder(FaqRequest), services.faq

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a hit, or pass the request on."""
        path = scope["path"] if scope["type"] == ScopeType.HTTP and scope["method"] == "POST" else ""
        if path not in self._answering:
            await self._app(scope, receive, send)
            return
        headers: Mapping[str, str] = scope["state"]["headers"]
        messages = await _body_of(receive, headers.get("content-length", ""))
        answer = await self._hit(path, b"".join([_bytes_of(one) for one in messages]), headers) if messages else None
        if answer is None:
            await self._app(scope, _beginning_with(messages, receive), send)
            return
        scope["path_template"] = path
        await _send(send, answer, headers.get("if-none-match"))

    async def _hit(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        decoder, answering = self._answering[path]
        start = time.perf_counter()
        try:
            request = decoder.decode(body)
            answer = await answering.peek(DEFAULT_TENANT, request, demands_of(headers, DEFAULT_TENANT))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, RetrievalError):
            return None  # the route says what is wrong
        if answer and path == "/faq/search":
            self._telemetry.observe_faq("hit", time.perf_counter() - start)
        return answer


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


async def _send(send: Send, answer: Answer, if_none_match: str | None) -> None:
    is_unchanged = is_known(answer, if_none_match)
    body = b"" if is_unchanged else answer.body
    headers = [(name.encode(), value.encode()) for name, value in headers_of(answer).items()]
    if not is_unchanged:
        headers += [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 304 if is_unchanged else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _bytes_of(message: ReceiveMessage) -> bytes:
    body: bytes = message.get("body", b"")  # type: ignore[assignment]  # it is what a request's message has there
    return body


def _beginning_with(messages: list[ReceiveMessage], receive: Receive) -> Receive:
    """Return a `receive` that first gives once more the messages that were taken."""

    async def again() -> ReceiveMessage:
        return messages.pop(0) if messages else await receive()

    return again
