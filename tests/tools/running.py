"""A real service as a process of its own, and a lean client for it."""

import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
LONGEST_START_SECONDS = 120
FIRST_PORT, LAST_PORT = 10_000, 32_000
"""Below those that connections get for themselves: nothing else takes one between its choice and its use."""

PATIENT = {"RETRIEVAL_REDIS_BUDGET_MS": "5000", "RETRIEVAL_WEAVIATE_BUDGET_MS": "10000"}
"""Budgets that a busy machine does not use up, for tests of what is answered and not of when."""


class Running:
    """A service that answers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data_dir: Path, ready_seconds: float) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.data_dir = data_dir
        self.ready_seconds = ready_seconds
        self.process = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """User and system time that the service's process has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def metric(self, series: str) -> float:
        """Return what the service exports under a name with its labels; 0 where that is nothing."""
        exposed = httpx.get(f"{self.url}/metrics", timeout=60).text
        found = re.search(rf"^{re.escape(series)} (\S+)$", exposed, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def command(self, *arguments: str) -> str:
        """Run `retrieval` against this service and return what it printed; raises if it failed."""
        return subprocess.run(
            [sys.executable, "-m", "service", *arguments, "--url", self.url],
            check=True,
            capture_output=True,
            text=True,
        ).stdout


class Client:
    """One connection that is kept; as little work of its own as Python permits."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: object) -> Any:
        """Send JSON and return the JSON of a 200; raises on anything else."""
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(content.decode())
        return json.loads(content)


@contextmanager
def running_service(data_dir: Path | None = None, log: Path | None = None, /, **settings: str) -> Iterator[Running]:
    """Start a service on a free port, wait until it is ready, and stop it at the end; `log` is added to."""
    with tempfile.TemporaryDirectory() as temporary, log.open("ab") if log else nullcontext() as errors:
        directory = data_dir or Path(temporary)
        port = free_port()
        environment = os.environ | {
            "RETRIEVAL_LISTEN": f"127.0.0.1:{port}",
            "RETRIEVAL_DATA_DIR": str(directory),
            "RETRIEVAL_LOG_LEVEL": "warning",
            **{f"RETRIEVAL_{name.upper()}": value for name, value in settings.items()},
        }
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "service", "serve"], env=environment, stderr=errors)
        try:
            _wait_ready(port, process)
            yield Running(process, port, directory, time.perf_counter() - start)
        finally:
            end(process, 60)


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Tell a process to end; one that has not after so long is killed, and subprocess.TimeoutExpired raised."""
    process.terminate()
    try:
        process.wait(timeout=seconds)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port on which nothing listens."""
    while True:
        port = random.randrange(FIRST_PORT, LAST_PORT)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == http.client.OK:
                    return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("the service did not become ready")
