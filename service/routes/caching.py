"""HTTP's words for caching: what a request demands, and what an answer says of the caches."""

import re
from collections.abc import Mapping
from typing import Any, Final

from litestar import Response
from litestar.openapi import ResponseSpec

from service.caches.base import Demands, digest
from service.errors import FieldError, InvalidRequest
from service.routes.requests import ServiceRequest
from service.search.answering import Answer

JSON: Final = "application/json"
PRIVATE: Final = {"cache-control": "private, no-cache", "vary": "Authorization"}
"""Of every answer: shared caches on the way must not give one caller's answer to another."""
MAX_AGE: Final = re.compile(r"[0-9]+")
DIGITS: Final = 10
"""Of an age; longer ones are for ever."""
VALIDATOR: Final = re.compile(r'"([^"]*)"')
PLAIN: Final = Demands()


def answered_with(kind: type[Any]) -> dict[int, ResponseSpec]:
    """Declare what stands encoded in the answer, for the OpenAPI document."""
    return {
        200: ResponseSpec(kind, description="the answer", generate_examples=False),
        304: ResponseSpec(None, description="the caller holds this answer already", generate_examples=False),
    }


def demands_of(headers: Mapping[str, str], tenant: str) -> Demands:
    """Read `Cache-Control` (RFC 9111) and `X-User-ID`; directives that are not known are passed over, as it says."""
    control, user = headers.get("cache-control"), headers.get("x-user-id")
    if control is None and user is None:
        return PLAIN
    directives = {}
    for directive in (control or "").split(","):
        name, _, value = directive.partition("=")
        directives[name.strip().lower()] = value.strip().strip('"')
    max_age = directives.get("max-age")
    if max_age is not None and not MAX_AGE.fullmatch(max_age):
        raise InvalidRequest(FieldError("Cache-Control", f"max-age is a whole number of seconds, not {max_age!r}"))
    stores = "no-store" not in directives
    return Demands(
        reads=stores and "no-cache" not in directives and (max_age is None or max_age.strip("0") != ""),
        stores=stores,
        only_cached="only-if-cached" in directives,
        max_age_seconds=_seconds(max_age) if max_age else None,
        owner=owner_of(user.encode("latin-1"), tenant) if user else "",
    )


def _seconds(digits: str) -> float:
    return float(digits) if len(digits) <= DIGITS else float("inf")


def owner_of(user: bytes, tenant: str) -> str:
    """Return what stands for an end user in the caches, where no user id is ever kept; `user` as it was sent."""
    return digest("user", tenant, user)


def headers_of(answer: Answer) -> dict[str, str]:
    """Return the headers that tell what the caches did, and that let the caller ask for changes only."""
    headers = PRIVATE | {"cache-status": _cache_status(answer)}
    if answer.validator:
        headers["etag"] = f'W/"{answer.validator}"'
    return headers


def is_known(answer: Answer, if_none_match: str | None) -> bool:
    """Whether the caller holds this very answer already."""
    if not if_none_match or not answer.validator:
        return False
    return if_none_match.strip() == "*" or answer.validator in VALIDATOR.findall(if_none_match)


def respond(request: ServiceRequest, answer: Answer) -> Response[bytes]:
    """Return the answer, or 304 where the caller holds it already."""
    headers = headers_of(answer)
    if is_known(answer, request.joined_headers.get("if-none-match")):
        return Response(b"", status_code=304, headers=headers)
    return Response(answer.body, media_type=JSON, headers=headers)


def _cache_status(answer: Answer) -> str:
    """Return the value of Cache-Status (RFC 9211)."""
    if answer.outcome == "hit":
        return f"results; hit; detail={answer.tier}; ttl={answer.ttl_seconds:.0f}"
    status = f"results; fwd={answer.outcome}"
    if answer.is_collapsed:
        return f"{status}; collapsed"
    return f"{status}; stored; ttl={answer.ttl_seconds:.0f}" if answer.is_kept else status
