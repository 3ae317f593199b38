"""Around every request: its id, its stage times, its metrics, its span and its log line."""

import asyncio
import logging
import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from service.errors import Stopping
from service.resilience.budgets import Budget, budgeted
from service.routes.problems import (
    MEDIA_TYPE,
    SERVER_ERRORS,
    Problem,
    headers_of_problem,
    is_failure,
    is_shed,
    problem_of,
)
from service.stages import RUNNING_STAGES, Stages
from service.telemetry import REQUEST_ID, Telemetry

logger = logging.getLogger(__name__)

KEPT_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
SLOW_SECONDS = 1.0
CLOSING = (b"connection", b"close")
"""Said while the process stops, so that callers who keep connections open come back to another one; and where a body is
refused before its end: the server then closes the connection, and who would send on it again finds it dead."""
REFUSALS = 400
MOST_DIGITS = 18
"""Of the length of a body that is read here; HTTP lets it begin with any number of zeros."""


class Envelope:
    """An ASGI application around the routes; it sees also what no route answers."""

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, redis_budget_seconds: float, stopping: asyncio.Event
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._redis_budget_seconds = redis_budget_seconds
        self._stopping = stopping
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is not HTTP."""
        if scope["type"] == ScopeType.HTTP:
            # Routes see the path as it was sent: an id may hold an encoded slash.
            scope["path"] = scope["raw_path"].partition(b"?")[0].decode("latin-1")
            with budgeted(Budget(self._redis_budget_seconds)):
                await self._run(_Exchange(self._app, self._telemetry, scope, send, self._stopping), receive)
        else:
            await self._app(scope, receive, send)

    def stop_requests(self) -> set[asyncio.Task[Any]]:
        """Cancel the requests in progress, which are returned; those that have not begun to answer get a 503."""
        for task in self._running:
            task.cancel()
        return set(self._running)

    async def _run(self, exchange: "_Exchange", receive: Receive) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the server runs each request as a task")
        self._running.add(task)
        try:
            await exchange.run(receive)
        finally:
            self._running.discard(task)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, app: ASGIApp, telemetry: Telemetry, scope: HTTPScope, send: Send, stopping: asyncio.Event
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._scope = scope
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._send = send
        self._stopping = stopping
        self._headers = _joined(scope["headers"])
        given = self._headers.get("x-request-id", "")
        self._request_id = given if KEPT_REQUEST_ID.fullmatch(given) else str(uuid4())
        self._stages = Stages(telemetry)
        self._status = SERVER_ERRORS
        self._has_begun = False
        self._unread = _length(self._headers)
        self._start = time.perf_counter()

    async def run(self, receive: Receive) -> None:
        token = REQUEST_ID.set(self._request_id)
        of_stages = RUNNING_STAGES.set(self._stages)
        self._state.update(stages=self._stages, headers=self._headers)
        self._telemetry.active += 1
        try:
            with self._telemetry.request_span(self._scope["method"], self._headers) as span:
                await self._answer(receive)
                span.update_name(f"{self._scope['method']} {self._route()}")
                span.set_attribute("http.response.status_code", self._status)
        finally:
            self._telemetry.active -= 1
            self._account()
            REQUEST_ID.reset(token)
            RUNNING_STAGES.reset(of_stages)

    async def _answer(self, receive: Receive) -> None:
        try:
            await self._app(self._scope, self._reader(receive), self._send_answer)
        except asyncio.CancelledError:  # only a stop of the service does that
            stopping = Stopping("The service stops now. What it acknowledged is kept; send the request again.")
            problem = self._state["problem"] = problem_of(stopping)
            if not self._has_begun:
                await self._refuse(problem)

    def _reader(self, receive: Receive) -> Receive:
        """Return what takes note of how much of the body is still to come; of no body there is nothing to note."""
        if not self._unread:
            return receive

        async def read() -> ReceiveMessage:
            message = await receive()
            body = message.get("body", b"")
            self._unread = self._unread - len(body) if isinstance(body, bytes) and message.get("more_body") else 0
            return message

        return read

    async def _refuse(self, problem: Problem) -> None:
        more = headers_of_problem(problem) | {"content-type": MEDIA_TYPE}
        headers = [(name.encode(), value.encode()) for name, value in more.items()]
        await self._send_answer({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send_answer(
            {"type": "http.response.body", "body": msgspec.json.encode(problem), "more_body": False}
        )

    async def _send_answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            self._status = message["status"]
            timing = self._stages.server_timing(time.perf_counter() - self._start)
            added = [(b"x-request-id", self._request_id.encode()), (b"server-timing", timing.encode())]
            if self._ends_connection() and self._scope["http_version"].startswith("1"):
                added.append(CLOSING)
            message["headers"] = [*message["headers"], *added]
        await self._send(message)

    def _ends_connection(self) -> bool:
        return self._stopping.is_set() or (self._status >= REFUSALS and self._unread > 0)

    def _route(self) -> str:
        return str(self._scope.get("path_template") or "unmatched")

    def _account(self) -> None:
        seconds = time.perf_counter() - self._start
        problem: Problem | None = self._state.get("problem")
        status = problem.status if problem else self._status  # what fails after it began had said 200
        self._telemetry.observe_request(self._route(), status, seconds)
        failed = is_failure(status)
        failure: Problem | None = problem if failed else self._state.get("failed_query")
        level = logging.INFO if seconds >= SLOW_SECONDS else logging.DEBUG
        if failed or failure:
            level = logging.DEBUG if failure and is_shed(failure) else logging.WARNING
        if logger.isEnabledFor(level):
            logger.log(level, "request", extra=self._described(status, seconds) | _detail_of(failure))

    def _described(self, status: int, seconds: float) -> dict[str, Any]:
        fields = {"method": self._scope["method"], "route": self._route(), "status": status}
        stages = {stage: round(spent * 1000, 2) for stage, spent in self._stages.seconds.items()}
        fields |= {"milliseconds": round(seconds * 1000, 2), "stages": stages}
        return fields | ({"queries": self._state["queries"]} if "queries" in self._state else {})


def _detail_of(failure: Problem | None) -> dict[str, str]:
    return {"detail": failure.detail} if failure else {}


def _joined(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name; lines of the same name are one value (RFC 9110)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _length(headers: Mapping[str, str]) -> float:
    """Return the bytes of a request's body; one that comes in chunks, or says its length twice, may have any number."""
    length = headers.get("content-length", "0")
    is_number = length.isdecimal() and len(length) <= MOST_DIGITS
    return int(length) if is_number and "transfer-encoding" not in headers else math.inf
