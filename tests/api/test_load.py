"""The load test itself: it runs against a real service, and fails where the service does."""

import subprocess
import sys

import httpx

from tests.tools.running import Running, free_port


def load(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtests", "--host", url, "--stretch", "0.02", "--peak", "20"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_short_load_asks_everything_of_everybody_and_passes(service: Running) -> None:
    outcome = load(service.url)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    for name in ("rag_query", "upload_document", "faq"):
        assert name in outcome.stderr
    assert httpx.get(f"{service.url}/collections/load_documents", timeout=60).json()["documents"] > 5


def test_a_service_that_is_not_there_is_said_at_once() -> None:
    outcome = load(f"http://127.0.0.1:{free_port()}")
    assert outcome.returncode == 1
    assert "does not take what the users would ask for" in outcome.stderr
