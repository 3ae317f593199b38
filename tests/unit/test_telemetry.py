"""What callers write into tracing headers, and what is exported before anything happened."""

import logging
from typing import get_args

import pytest

from service.models import Strategy
from service.telemetry import IMPORT_OUTCOMES, Telemetry

ODD = {"traceparent": "x" * 600, "tracestate": "\u00e9=x,,,", "baggage": "%%%=;;;"}


def test_odd_tracing_headers_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), Telemetry().request_span("POST", ODD):
        pass
    assert not caplog.records


@pytest.mark.parametrize("outcome", IMPORT_OUTCOMES)
def test_imports_are_counted_from_zero_on(outcome: str) -> None:
    exposition = Telemetry().exposition()[0].decode()
    assert f'retrieval_import_documents_total{{outcome="{outcome}"}} 0.0' in exposition


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_plans_are_counted_from_zero_on(strategy: str) -> None:
    assert f'retrieval_plan_total{{strategy="{strategy}"}} 0.0' in Telemetry().exposition()[0].decode()
