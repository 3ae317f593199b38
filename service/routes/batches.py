"""Requests within a request: each is answered, or fails alone in its place."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from service.errors import InvalidRequest, RetrievalError
from service.routes.problems import Problem, field_error, problem_of

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def answer_each(
    queries: Sequence[Any],
    kind: type[Request],
    answer: Callable[[Request], Awaitable[Answer]],
) -> list[Answer | Problem]:
    """Answer the queries side by side, in their order; a problem stands where one failed."""

    async def outcome(raw: Any) -> Answer | Problem:
        try:
            return await answer(msgspec.convert(raw, kind))
        except msgspec.ValidationError as error:
            return problem_of(InvalidRequest(field_error(error)))
        except RetrievalError as error:
            return problem_of(error)

    return await asyncio.gather(*(outcome(raw) for raw in queries))
