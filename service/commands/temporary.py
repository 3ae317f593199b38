"""A service of its own on temporary data: started, waited for, stopped, and its data removed."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.commands.client import Client, RequestRefused, ServiceUnreachable
from service.errors import RetrievalError
from service.settings import PREFIX

LONGEST_START_SECONDS = 60.0
LONGEST_STOP_SECONDS = 15.0
PAUSE_SECONDS = 0.02


class ServiceDidNotStart(RetrievalError):
    """The service ended, or was not ready in time."""


@contextmanager
def temporary_service() -> Iterator[Client]:
    """Run a service with default settings on a free port; raises ServiceDidNotStart.

    It ends with the block, which SIGTERM has to unwind: `end_at_sigterm` sees to that. Where the block ends by an
    error of the product, the service's log goes to standard error first.
    """
    with tempfile.TemporaryDirectory(prefix="retrieval-demo-") as folder, (Path(folder) / "log").open("wb") as log:
        address = f"127.0.0.1:{_free_port()}"
        # The user's own settings are for the user's own service.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {
            f"{PREFIX}LISTEN": address,
            f"{PREFIX}DATA_DIR": str(Path(folder) / "data"),
            f"{PREFIX}LOG_LEVEL": "warning",
        }
        command = [sys.executable, "-m", "service", "serve"]
        process = subprocess.Popen(command, env=environment, stderr=log)  # noqa: S603  # our own interpreter and package
        try:
            with Client(f"http://{address}") as client:
                _wait_ready(client, process)
                yield client
        except RetrievalError:
            sys.stderr.write(Path(log.name).read_text(errors="replace"))
            raise
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_ready(client: Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.get("/health/ready")
        except (ServiceUnreachable, RequestRefused):
            time.sleep(PAUSE_SECONDS)
        else:
            return
    raise ServiceDidNotStart("The service did not become ready; its log stands above.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(LONGEST_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
