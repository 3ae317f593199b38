"""Schemathesis over the OpenAPI document: never a 5xx, never an answer that the document does not announce."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.tools.running import running_service

EXCLUDED = [
    "positive_data_acceptance",  # what a JSON schema cannot say (declared fields, dates) is refused with 422
    "allow_header_conformance",  # Litestar's answer to OPTIONS names the methods of one of a path's handlers only
]


@pytest.mark.slow
def test_the_service_keeps_what_its_document_says(tmp_path: Path) -> None:
    with running_service() as service:
        entry = {"id": "e", "question": "Who?", "answer": "Me."}
        httpx.post(f"{service.url}/collections/documents/documents", json={"id": "d", "text": "a text"})
        httpx.post(f"{service.url}/collections/faq/entries", json=entry)
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{service.url}/schema/openapi.json",
            "--exclude-checks",
            ",".join(EXCLUDED),
            "--max-examples=25",
            "--suppress-health-check=all",
            "--generation-database=none",
            "--no-color",
        ]
        outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout[-20_000:]
