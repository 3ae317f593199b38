"""A start that is told to stop ends there, cleanly, whatever it waits for: as the first process of a container, too."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import msgspec
import pytest

from service.search.hottest import Hot
from tests.tools.running import free_port, running_service
from tests.tools.servers import wait_until

REQUESTS = 1_000
STOPS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """One document, and no list yet."""
    with running_service(tmp_path) as service:
        document = {"id": "a", "text": "a text"}
        httpx.post(f"{service.url}/collections/documents/documents", json=document, timeout=60).raise_for_status()
    return tmp_path


@contextmanager
def starting(data_dir: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {
        "RETRIEVAL_LISTEN": f"127.0.0.1:{free_port()}",
        "RETRIEVAL_DATA_DIR": str(data_dir),
        **{f"RETRIEVAL_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "service", "serve"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def list_being_read(data_dir: Path) -> Iterator[int]:
    """Put a pipe in the place of the list of the hottest requests, and wait until the start reads it."""
    pipe, found = data_dir / "hot", []
    os.mkfifo(pipe)

    def is_read() -> bool:
        with suppress(OSError):  # nobody reads yet
            found.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(found)

    wait_until(is_read)
    os.set_blocking(found[0], True)
    try:
        yield found[0]
    finally:
        os.close(found[0])
        pipe.unlink()


def check_stopped(process: subprocess.Popen[str]) -> None:
    _, log = process.communicate(timeout=120)
    assert (process.returncode, '"ready"' in log, "Traceback" in log) == (0, False, False), log
    assert "stopped before it was ready" in log


@pytest.mark.parametrize("number", STOPS)
def test_a_start_stops_that_waits_for_the_list_of_the_hottest(data_dir: Path, number: signal.Signals) -> None:
    with starting(data_dir) as process:
        with list_being_read(data_dir):
            process.send_signal(number)
            time.sleep(0.2)  # the list ends after the signal came, not before
            process.send_signal(number)  # whoever asks again changes nothing
        check_stopped(process)


def test_a_start_stops_in_the_middle_of_its_warm_up(data_dir: Path) -> None:
    queries = [f"query {number} of a long warm-up" for number in range(REQUESTS)]
    hot = [Hot("default", "/search", msgspec.json.encode({"query": query})) for query in queries]
    content = msgspec.msgpack.encode([(msgspec.msgpack.encode(one), 1.0) for one in hot])
    with starting(data_dir, warm_queries=str(REQUESTS)) as process:
        with list_being_read(data_dir) as pipe:
            os.write(pipe, content)
        process.send_signal(signal.SIGTERM)
        check_stopped(process)
    with running_service(data_dir) as service:
        hits = httpx.post(f"{service.url}/search", json={"query": "text"}, timeout=60).json()["hits"]
        assert [hit["document_id"] for hit in hits] == ["a"]


def test_a_start_stops_that_waits_for_a_redis_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(120)
        with starting(tmp_path, redis_url=f"redis://127.0.0.1:{mute.getsockname()[1]}") as process, mute.accept()[0]:
            process.send_signal(signal.SIGTERM)
            check_stopped(process)
