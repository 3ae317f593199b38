"""Queries of a batch fail alone, whatever they raise."""

import re
from typing import Any

import msgspec
import pytest

from service.errors import Overloaded
from service.routes.batches import answer_each
from service.routes.problems import Problem
from service.routes.requests import ServiceRequest
from service.telemetry import Telemetry

pytestmark = pytest.mark.anyio


class Query(msgspec.Struct):
    """What the batch below consists of."""

    text: str


async def answer(query: Query) -> str:
    if query.text == "broken":
        raise KeyError(query.text)
    if query.text == "one too many":
        raise Overloaded("Try again shortly.")
    return f"answer to {query.text}"


async def never() -> Any:
    raise AssertionError("the body was read before")


async def test_what_nobody_expected_fails_in_its_place_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = Telemetry()
    scope: Any = {"type": "http", "path_template": "/search/batch", "state": {}}
    queries = [{"text": "one"}, {"text": "broken"}, {"text": 7}, {"text": "one too many"}, {"text": "two"}]
    outcomes = await answer_each(ServiceRequest(scope, never), telemetry, queries, Query, answer)
    assert [one.status if isinstance(one, Problem) else one for one in outcomes] == [
        "answer to one",
        500,
        422,
        503,
        "answer to two",
    ]
    (logged,) = caplog.records
    assert (logged.levelname, logged.exc_info is not None) == ("ERROR", True)
    exposed = telemetry.exposition()[0].decode()
    counted = re.findall(r'batch_queries_total\{route="/search/batch",status="(\d+)"\} ([\d.]+)', exposed)
    assert sorted(counted) == [("200", "2.0"), ("422", "1.0"), ("500", "1.0"), ("503", "1.0"), ("504", "0.0")]
