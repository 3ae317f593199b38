"""Requests within a request: each is answered, or fails alone in its place."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from service.errors import InvalidRequest, RetrievalError
from service.routes.problems import Problem, field_error, problem_of

SIDE_BY_SIDE: Final = 16
"""Queries of one batch: others want their turns, too."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def answer_each(
    queries: Sequence[Any],
    kind: type[Request],
    answer: Callable[[Request], Awaitable[Answer]],
) -> list[Answer | Problem]:
    """Answer the queries, some side by side, in their order; a problem stands where one failed."""
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def outcome(raw: Any) -> Answer | Problem:
        try:
            async with places:
                return await answer(msgspec.convert(raw, kind))
        except msgspec.ValidationError as error:
            return problem_of(InvalidRequest(field_error(error)))
        except RetrievalError as error:
            return problem_of(error)

    return await asyncio.gather(*(outcome(raw) for raw in queries))
