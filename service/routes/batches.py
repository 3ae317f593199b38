"""Requests within a request: each is answered, or fails alone in its place."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from service.errors import CallerLeft, InvalidRequest
from service.routes.problems import Problem, field_error, is_failure, is_shed, problem_of
from service.routes.requests import ServiceRequest
from service.telemetry import Telemetry

ANSWERED: Final = 200
SIDE_BY_SIDE: Final = 16
"""Queries of one batch: others want their turns, too."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def answer_each(
    request: ServiceRequest,
    telemetry: Telemetry,
    queries: Sequence[Any],
    kind: type[Request],
    answer: Callable[[Request], Awaitable[Answer]],
) -> list[Answer | Problem]:
    """Answer the queries, some side by side, in their order; a problem stands where one failed.

    Raises CallerLeft, and leaves off, where nobody waits any more: callers who send again add up.
    """
    async with request.leaving() as leaving:
        answering = asyncio.create_task(_outcomes(queries, kind, answer))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise CallerLeft("The caller left before all queries were answered.")
        finally:
            answering.cancel()
            await asyncio.wait({answering})
    outcomes = answering.result()
    _account(request, telemetry, outcomes)
    return outcomes


async def _outcomes(
    queries: Sequence[Any], kind: type[Request], answer: Callable[[Request], Awaitable[Answer]]
) -> list[Answer | Problem]:
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def outcome(raw: Any) -> Answer | Problem:
        try:
            async with places:
                return await answer(msgspec.convert(raw, kind))
        except msgspec.ValidationError as error:
            return problem_of(InvalidRequest(field_error(error)))
        except Exception as error:  # noqa: BLE001  # as the routes do with whatever is raised
            return problem_of(error)

    return await asyncio.gather(*(outcome(raw) for raw in queries))


def _account(request: ServiceRequest, telemetry: Telemetry, outcomes: Sequence[object]) -> None:
    """Count the queries by status, and leave to the envelope what its line is to say of them."""
    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    by_status = Counter(problem.status for problem in problems)
    by_status[ANSWERED] = len(outcomes) - len(problems)
    for status, count in by_status.items():
        telemetry.batch_queries.labels(request.scope["path_template"], str(status)).inc(count)
    failures = (problem for problem in problems if is_failure(problem.status) and not is_shed(problem))
    request.scope["state"].update(queries=dict(by_status), failed_query=next(failures, None))
