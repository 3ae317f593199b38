"""A disk that is nearly full refuses writes; it never kills the process, and what is there is kept."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.tools.running import free_port, running_service


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    options = ["-t", "tmpfs", "-o", "size=160m", "tmpfs", str(disk)]
    if not mount or not unmount or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("mounting a small disk needs root and mount")
    yield disk
    subprocess.run([unmount, str(disk)], check=True)


def test_a_nearly_full_disk_refuses_writes_and_goes_on_reading(small_disk: Path) -> None:
    with running_service(small_disk / "data") as service:
        first = httpx.post(
            f"{service.url}/collections/kept/documents", json={"id": "a", "text": "kept text"}, timeout=60
        )
        assert first.json()["created"] == 1
        (small_disk / "ballast").write_bytes(bytes(80_000_000))
        refused = httpx.post(f"{service.url}/collections/kept/documents", json={"id": "b", "text": "more"}, timeout=60)
        assert refused.status_code == 503
        assert "MB left" in refused.json()["detail"]
        assert (
            httpx.post(f"{service.url}/collections/new/documents", json={"text": "more"}, timeout=60).status_code == 503
        )
        hits = httpx.post(f"{service.url}/search", json={"query": "text", "collection": "kept"}, timeout=60).json()[
            "hits"
        ]
        assert [hit["document_id"] for hit in hits] == ["a"]
    environment = os.environ | {
        "RETRIEVAL_LISTEN": f"127.0.0.1:{free_port()}",
        "RETRIEVAL_DATA_DIR": str(small_disk / "data"),
    }
    command = [sys.executable, "-m", "service", "serve"]
    start = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert start.returncode == 1
    assert "MB left" in start.stderr
    assert "backup" not in start.stderr
    (small_disk / "ballast").unlink()
    with running_service(small_disk / "data") as service:
        again = httpx.post(f"{service.url}/collections/kept/documents", json={"id": "b", "text": "more"}, timeout=60)
        assert again.json()["created"] == 1
