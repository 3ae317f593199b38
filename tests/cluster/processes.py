"""Processes of the service on one shared store and one Redis, which tests kill and start again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools.replicas import started
from tests.tools.running import _wait_ready, free_port

ROOT = Path(__file__).parents[2]
MODULE = "tests.tools.shared_service"
LONGEST_LIFE_SECONDS = 60
"""Of what is to die."""


class SharedProcess:
    """A process of the service, always on the same port. `life` counts its starts."""

    def __init__(self, place: int, environment: dict[str, str], log: Path) -> None:
        self.place = place
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.life = 0
        self.is_up = False
        self._environment = environment | {"RETRIEVAL_LISTEN": f"127.0.0.1:{self.port}"}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> tuple[int, int]:
        """Tells this life of the process from all others."""
        return self.place, self.life

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        self.life += 1
        _wait_ready(self.port, self._process)
        self.is_up = True

    def kill(self) -> None:
        """End it at once, if it runs."""
        self.is_up = False
        if self._process:
            self._process.kill()
            self._process.wait()

    def wait_dead(self) -> None:
        """Return when it has ended by itself."""
        assert self._process
        self._process.wait(timeout=LONGEST_LIFE_SECONDS)

    def freeze(self, seconds: float) -> None:
        """Stop it for so long, unless it is dead: it wakes up knowing what was true before."""
        if process := self._process:
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)


@contextmanager
def shared_processes(
    number: int, redis_url: str, directory: Path, *, name: str = "shared", **environment: str
) -> Iterator[list[SharedProcess]]:
    """Run so many processes on the store in a directory; names in `environment` are whole."""
    whole = os.environ | {
        "SHARED_STORE": str(directory),
        "RETRIEVAL_REDIS_URL": redis_url,
        "RETRIEVAL_DATA_DIR": str(directory),
        "RETRIEVAL_LOG_LEVEL": "warning",
        **environment,
    }
    logs = [directory / f"{name}-{place}.log" for place in range(number)]
    with started([SharedProcess(place, whole, log) for place, log in enumerate(logs)]) as processes:
        yield processes
