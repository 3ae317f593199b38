"""A real nginx before processes of the service, configured as compose.yaml's is, in a directory of its own."""

import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from scripts.nginx.rendering import render
from scripts.nginx.settings import Ingress, Place, load_ingress
from tests.tools.running import end, free_port
from tests.tools.servers import certificates, missing, wait_until


class RunningNginx:
    """An nginx that answers."""

    def __init__(self, directory: Path, port: int, tls_port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.tls_url = f"https://127.0.0.1:{tls_port}"
        self.authority = directory / "ca.crt"
        self.trust = ssl.create_default_context(cafile=self.authority)
        self._directory = directory

    def answer(self, path: str, *headers: str, method: str = "GET") -> str:
        """Ask with a path that nothing has tidied before it is sent, and return the answer as it came."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=30)) as connection:
            head = [f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
            connection.sendall("\r\n".join(head).encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def request(self, request_id: str) -> dict[str, Any]:
        """Return what nginx wrote down of one request, which it does a moment after it has answered."""
        found: list[dict[str, Any]] = []

        def is_written() -> bool:
            found.extend(one for one in self.requests() if one["request_id"] == request_id)
            return bool(found)

        wait_until(is_written)
        return found[0]

    def requests(self) -> list[dict[str, Any]]:
        """Return what nginx wrote down of each request that has ended: who answered it, and with what."""
        return [json.loads(line) for line in self._lines() if line.endswith("\n")]

    def _lines(self) -> list[str]:
        return (self._directory / "access.log").read_text().splitlines(keepends=True)

    def errors(self) -> str:
        """Return what went wrong."""
        return (self._directory / "error.log").read_text()


def nginx_program() -> str:
    """Return where nginx is; skips the test where it is not."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or missing("nginx", "make servers")


def place_in(directory: Path, listen: str = "127.0.0.1:8080", tls_listen: str = "") -> Place:
    """Return a place whose files are all in a directory."""
    return Place(
        listen=listen,
        tls_listen=tls_listen,
        certificate=str(directory / "server.crt"),
        key=str(directory / "server.key"),
        directory=str(directory),
        access_log=str(directory / "access.log"),
        error_log=str(directory / "error.log"),
    )


def command_for(configuration: Path) -> list[str]:
    """Return the command that runs nginx with this configuration alone."""
    user = ["user root;"] if os.geteuid() == 0 else []  # of the workers: directories of tests are root's alone
    return [
        nginx_program(),
        "-p",
        str(configuration.parent),
        "-c",
        str(configuration),
        "-g",
        " ".join([*user, "daemon off;"]),
    ]


@contextmanager
def nginx_before(upstreams: Sequence[str], ingress: Ingress | None = None) -> Iterator[RunningNginx]:
    """Run nginx before `host:port` addresses, with the chart's own values where none are given."""
    with TemporaryDirectory() as temporary:
        directory = certificates(Path(temporary))
        port, tls_port = free_port(), free_port()
        place = place_in(directory, f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}")
        configuration = directory / "nginx.conf"
        configuration.write_text(render(ingress or load_ingress(), upstreams, place))
        said = directory / "said"
        with said.open("wb") as output:
            process = subprocess.Popen(command_for(configuration), stderr=output)
        try:
            wait_until(lambda: process.poll() is not None or _listens(port))
            if process.poll() is not None:
                raise RuntimeError(said.read_text())  # also what went wrong before there was a log
            yield RunningNginx(directory, port, tls_port)
        finally:
            end(process, 20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def new_addresses() -> Iterator[str]:
    """Yield addresses of this machine, for clients of which each has a rate limit of its own."""
    for third, fourth in itertools.product(range(256), range(1, 255)):
        yield f"127.1.{third}.{fourth}"


def new_client(proxy: RunningNginx, address: str) -> httpx.Client:
    """Return somebody new, who keeps what cookies come."""
    transport = httpx.HTTPTransport(local_address=address, verify=proxy.trust)
    return httpx.Client(base_url=proxy.url, transport=transport, timeout=30)
