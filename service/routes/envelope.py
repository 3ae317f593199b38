"""Around every request: its id, its stage times, its metrics, its span and its log line."""

import logging
import re
import time
from uuid import uuid4

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from service.telemetry import REQUEST_ID, Stages, Telemetry

logger = logging.getLogger(__name__)

KEPT_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
SLOW_SECONDS = 1.0
SERVER_ERRORS = 500


class Envelope:
    """An ASGI application around the routes; it sees also what no route answers."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is not HTTP."""
        if scope["type"] == ScopeType.HTTP:
            # Routes see the path as it was sent: an id may hold an encoded slash.
            scope["path"] = scope["raw_path"].partition(b"?")[0].decode("latin-1")
            await _Exchange(self._app, self._telemetry, scope, send).run(receive)
        else:
            await self._app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, scope: HTTPScope, send: Send) -> None:
        self._app = app
        self._telemetry = telemetry
        self._scope = scope
        self._send = send
        self._headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = self._headers.get("x-request-id", "")
        self._request_id = given if KEPT_REQUEST_ID.fullmatch(given) else str(uuid4())
        self._stages = Stages(telemetry)
        self._status = SERVER_ERRORS
        self._start = time.perf_counter()

    async def run(self, receive: Receive) -> None:
        token = REQUEST_ID.set(self._request_id)
        self._scope.setdefault("state", {})["stages"] = self._stages
        self._telemetry.active.inc()
        try:
            with self._telemetry.request_span(self._scope["method"], self._headers) as span:
                await self._app(self._scope, receive, self._send_answer)
                span.update_name(f"{self._scope['method']} {self._route()}")
                span.set_attribute("http.response.status_code", self._status)
        finally:
            self._telemetry.active.dec()
            self._account()
            REQUEST_ID.reset(token)

    async def _send_answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            timing = self._stages.server_timing(time.perf_counter() - self._start)
            added = [(b"x-request-id", self._request_id.encode()), (b"server-timing", timing.encode())]
            message["headers"] = [*message["headers"], *added]
        await self._send(message)

    def _route(self) -> str:
        return str(self._scope.get("path_template") or "unmatched")

    def _account(self) -> None:
        seconds = time.perf_counter() - self._start
        self._telemetry.requests.labels(self._route(), str(self._status)).observe(seconds)
        is_notable = self._status >= SERVER_ERRORS or seconds >= SLOW_SECONDS
        level = logging.WARNING if self._status >= SERVER_ERRORS else logging.INFO if is_notable else logging.DEBUG
        if logger.isEnabledFor(level):
            fields = {"method": self._scope["method"], "route": self._route(), "status": self._status}
            stages = {stage: round(spent * 1000, 2) for stage, spent in self._stages.seconds.items()}
            logger.log(level, "request", extra=fields | {"milliseconds": round(seconds * 1000, 2), "stages": stages})
