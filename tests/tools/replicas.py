"""Processes of the service as it is, each on a port that it keeps, which tests stop, kill and start again."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from scripts.nginx.settings import Ingress
from tests.tools.nginx import RunningNginx, nginx_before
from tests.tools.running import PATIENT, _wait_ready, free_port
from tests.tools.servers import redis_server
from tests.tools.weaviate import RunningNode, settings_of, weaviate_server

LONGEST_STOP_SECONDS = 30


class Process(Protocol):
    """What is started, and killed."""

    def start(self) -> None:
        """Start it and wait until it is ready."""

    def kill(self) -> None:
        """End it at once, if it runs."""


Startable = TypeVar("Startable", bound=Process)


class Replica:
    """One process of several; `place` counts them."""

    def __init__(self, place: int, directory: Path, environment: dict[str, str]) -> None:
        self.place = place
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = environment | {
            "RETRIEVAL_LISTEN": self.address,
            "RETRIEVAL_DATA_DIR": str(directory / "data"),
        }
        directory.mkdir()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", "serve"], env=self._environment, stdout=log, stderr=log
            )
        _wait_ready(self.port, self._process)

    def stop(self) -> int:
        """Tell it to stop, wait until it has, and return its exit code."""
        return self._ended(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, if it runs."""
        self._ended(signal.SIGKILL)

    @contextmanager
    def dying_at_the_next_request(self) -> Iterator[None]:
        """Freeze it, so that it takes a request and does not answer, and kill it soon after."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        killing = threading.Timer(0.5, self.kill)
        killing.start()
        try:
            yield
        finally:
            killing.join()

    def restart(self) -> None:
        """Stop it as an upgrade does, and start it again; raises RuntimeError where it did not end well."""
        if code := self.stop():
            raise RuntimeError(f"exit code {code}: {self.log.read_text()[-2000:]}")
        self.start()

    def _ended(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(how)
        try:
            return self._process.wait(timeout=LONGEST_STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()


@contextmanager
def replicas(number: int, directory: Path, environment: dict[str, str] | None = None) -> Iterator[list[Replica]]:
    """Run so many processes; names in `environment` are whole."""
    whole = os.environ | {"RETRIEVAL_LOG_LEVEL": "warning"} | (environment or {})
    with started([Replica(place, directory / f"replica-{place}", whole) for place in range(number)]) as processes:
        yield processes


@contextmanager
def started(processes: list[Startable]) -> Iterator[list[Startable]]:
    """Start processes side by side, and kill what runs of them in the end."""
    try:
        with ThreadPoolExecutor(len(processes)) as pool:
            for _ in pool.map(lambda process: process.start(), processes):
                pass
        yield processes
    finally:
        for process in processes:
            process.kill()


@contextmanager
def replicas_behind_nginx(
    directory: Path, ingress: Ingress | None = None
) -> Iterator[tuple[list[Replica], RunningNginx]]:
    """Run three processes that share a Weaviate and a Redis, behind nginx."""
    with (
        weaviate_server() as weaviate,
        redis_server() as redis,
        replicas(3, directory, sharing(weaviate, redis.url)) as processes,
        nginx_before([process.address for process in processes], ingress) as proxy,
    ):
        yield processes, proxy


def sharing(weaviate: RunningNode, redis_url: str) -> dict[str, str]:
    """Return the environment of processes that share a Weaviate and a Redis, with budgets for a busy machine."""
    return settings_of(weaviate) | PATIENT | {"RETRIEVAL_REDIS_URL": redis_url}
