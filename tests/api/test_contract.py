"""Schemathesis over the OpenAPI document: never a 5xx, never an answer that the document does not announce."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance

from tests.tools.running import running_service

SEMANTIC = [positive_data_acceptance]
"""What a JSON schema cannot say (declared fields, dates) is refused with 422: not a violation."""


@pytest.fixture(scope="module")
def api_schema() -> Iterator[schemathesis.BaseSchema]:
    with running_service() as service:
        entry = {"id": "e", "question": "Who?", "answer": "Me."}
        httpx.post(f"{service.url}/collections/documents/documents", json={"id": "d", "text": "a text"})
        httpx.post(f"{service.url}/collections/faq/entries", json=entry)
        yield schemathesis.openapi.from_url(f"{service.url}/schema/openapi.json")


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_keeps_what_its_document_says(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(excluded_checks=SEMANTIC)
