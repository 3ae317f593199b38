"""Errors to problem details (RFC 9457), in one place."""

import logging
import re
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec

from service import errors as domain
from service.telemetry import REQUEST_ID

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
ASKED_FOR: dict[int, dict[str, str]] = {
    401: {"www-authenticate": "Bearer"},
    403: {"www-authenticate": 'Bearer error="insufficient_scope"'},
    429: {"retry-after": RETRY_AFTER_SECONDS},
    503: {"retry-after": RETRY_AFTER_SECONDS},
}
"""Headers that go with a status (RFC 9110, RFC 6750)."""
SERVER_ERRORS = 500
NOT_CACHED = 504
STATUS: dict[type[Exception], tuple[int, str]] = {
    domain.InvalidRequest: (422, "The request cannot be used"),
    domain.InvalidDocument: (422, "The document cannot be used"),
    domain.MalformedBody: (400, "The body cannot be read"),
    domain.BodyTooLarge: (413, "The body is too large"),
    domain.Unauthenticated: (401, "An API key is needed"),
    domain.Forbidden: (403, "The API key lacks a scope"),
    domain.UnknownCollection: (404, "No such collection"),
    domain.UnknownDocument: (404, "No such document"),
    domain.SwitchedOff: (404, "Switched off"),
    domain.Conflict: (409, "The request contradicts what exists"),
    domain.StoreUnavailable: (503, "The store does not answer"),
    domain.CollectionChanged: (503, "The collection was changed meanwhile"),
    domain.RedisUnavailable: (503, "Redis does not answer"),
    domain.NotCached: (504, "Not cached"),
    domain.ModelUnavailable: (503, "The embedding model does not answer"),
    domain.DeadlineExceeded: (503, "The deadline has passed"),
    domain.CallerLeft: (400, "The caller left"),
    domain.Overloaded: (503, "The service is overloaded"),
    domain.Stopping: (503, "The service is stopping"),
}
QUIETLY = {STATUS[domain.Overloaded], STATUS[domain.Stopping]}
"""Of these there may be very many, and what raises them says so once."""
MSGSPEC_PLACE = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<place>.*)`)?$", re.DOTALL)
PLACE_PART = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


class Problem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A problem detail; `errors` point into the request."""

    title: str
    status: int
    detail: str
    request_id: str
    type: str = "about:blank"
    errors: list[domain.FieldError] = []


def is_failure(status: int) -> bool:
    """Whether the service failed. 504 is no failure: the caller asked for a cached answer only."""
    return status >= SERVER_ERRORS and status != NOT_CACHED


def is_shed(problem: Problem) -> bool:
    """Whether the request was turned away, unharmed, by a service that is overloaded or stops."""
    return (problem.status, problem.title) in QUIETLY


def problem_of(error: Exception) -> Problem:
    """Describe any error; one that nobody raised on purpose says nothing of its inside, and is logged here."""
    if isinstance(error, ValidationException):
        error = _invalid_request(error)
    if (known := STATUS.get(type(error))) is not None:
        status, title = known
        pointers = list(error.errors) if isinstance(error, domain.InvalidRequest) else []
        return Problem(title=title, status=status, detail=str(error), request_id=REQUEST_ID.get(), errors=pointers)
    if isinstance(error, HTTPException):
        detail = error.detail if error.status_code < SERVER_ERRORS else "See the log."
        title = {404: "No such route", 405: "This route does not take the method"}.get(error.status_code, detail)
        return Problem(title=title, status=error.status_code, detail=detail, request_id=REQUEST_ID.get())
    logger.error("a request failed unexpectedly", exc_info=error)
    detail = "The service failed; the log says why under this request id."
    return Problem(title="Internal error", status=500, detail=detail, request_id=REQUEST_ID.get())


def headers_of_problem(problem: Problem) -> dict[str, str]:
    """Return the headers that a problem's status asks for."""
    return {**ASKED_FOR.get(problem.status, {})}


def respond_with_problem(request: Request[Any, Any, State], error: Exception) -> Response[Problem]:
    """Answer any exception of a route with its problem, which the envelope finds in the request's state."""
    problem = request.scope["state"]["problem"] = problem_of(error)
    headers = headers_of_problem(problem)
    if isinstance(error, HTTPException) and error.headers:
        headers |= error.headers
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def unreadable_form(request: Request[Any, Any, State], error: Exception) -> Response[Problem]:
    """Answer what decoding a form's text raises: its bytes do not fit its charset, or there is no such charset."""
    if type(error) in {UnicodeDecodeError, LookupError}:
        error = domain.MalformedBody(f"A part of the form is not text: {error}.")
    return respond_with_problem(request, error)


def field_error(error: msgspec.ValidationError, root: str = "$") -> domain.FieldError:
    """Turn msgspec's message into a pointer and a sentence."""
    matched = MSGSPEC_PLACE.match(str(error))
    reason, place = (matched["reason"], matched["place"] or root) if matched else (str(error), root)
    if reason.startswith("Unsupported type"):  # msgspec has no other words for something else than an upload
        reason = "one part with a file name is needed here"
    parts = PLACE_PART.findall(place.removeprefix(root))
    pointer = "".join(f"/{name or index}" for name, index in parts)
    return domain.FieldError(pointer, reason)


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """Declare the problems that a route can answer with, for the OpenAPI document, beside those of every key."""
    return documented_open(401, 403, *statuses)


def documented_open(*statuses: int) -> dict[int, ResponseSpec]:
    """Declare the same of a route that asks for no key."""
    return {
        status: ResponseSpec(Problem, media_type=MEDIA_TYPE, description="problem", generate_examples=False)
        for status in statuses
    }


def _invalid_request(error: ValidationException) -> domain.InvalidRequest:
    cause = error.__cause__
    if isinstance(cause, msgspec.ValidationError) and "$.data" in str(cause):
        return domain.InvalidRequest(field_error(cause, "$.data"))
    extra = error.extra if isinstance(error.extra, list) else []
    found = [_described(entry) for entry in extra if isinstance(entry, dict)]
    return domain.InvalidRequest(*found or [domain.FieldError("", error.detail)])


def _described(entry: dict[str, Any]) -> domain.FieldError:
    if entry.get("source") == "body":
        return domain.FieldError("", "a JSON object is needed as body")
    return domain.FieldError(f"?{entry.get('key', '')}", str(entry.get("message", "")))
