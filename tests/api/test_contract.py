"""Schemathesis over the OpenAPI document: never a 5xx, never an answer that the document does not announce."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.tools.keys import bearing, written_key
from tests.tools.running import running_service

EXCLUDED = [
    "positive_data_acceptance",  # what a JSON schema cannot say (declared fields, dates) is refused with 422
    "allow_header_conformance",  # Litestar's answer to OPTIONS names the methods of one of a path's handlers only
]


@pytest.mark.slow
@pytest.mark.parametrize("asks_for_keys", [False, True], ids=["open", "keys"])
def test_the_service_keeps_what_its_document_says(tmp_path: Path, asks_for_keys: bool) -> None:  # noqa: FBT001  # a parameter
    headers = bearing(written_key(tmp_path / "keys", "acme"))
    with running_service(api_keys_file=str(tmp_path / "keys") if asks_for_keys else "") as service:
        entry = {"id": "e", "question": "Who?", "answer": "Me."}
        paths = {"documents/documents": {"id": "d", "text": "a text"}, "faq/entries": entry}
        for path, body in paths.items():
            httpx.post(f"{service.url}/collections/{path}", json=body, headers=headers, timeout=60).raise_for_status()
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{service.url}/schema/openapi.json",
            "--exclude-checks",
            ",".join(EXCLUDED),
            "--max-examples=25",
            *(["--header", f"Authorization: {headers['Authorization']}"] if asks_for_keys else []),
            "--suppress-health-check=all",
            "--generation-database=none",
            "--no-color",
        ]
        outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout[-20_000:]
