"""What callers write into tracing headers."""

import logging

import pytest

from service.telemetry import Telemetry

ODD = {"traceparent": "x" * 600, "tracestate": "\u00e9=x,,,", "baggage": "%%%=;;;"}


def test_odd_tracing_headers_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), Telemetry().request_span("POST", ODD):
        pass
    assert not caplog.records
