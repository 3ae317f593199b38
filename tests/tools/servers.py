"""The real servers that tests need, started on free ports of 127.0.0.1 with data in temporary directories."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.tools.programs import TOXIPROXY
from tests.tools.running import free_port

LONGEST_START_SECONDS = 60
"""Of what takes one: whatever is still waited for then hangs, on a machine that others keep busy too."""


class Unwell:
    """Makes a running process unwell."""

    process: subprocess.Popen[bytes]

    def freeze(self) -> None:
        """Stop the process: it keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()


class RunningRedis(Unwell):
    """A Redis that answers, or one that a test has made unwell."""

    def __init__(self, command: Sequence[str], port: int, client: Sequence[str], url: str, directory: Path) -> None:
        self.port = port
        self.url = url
        self.directory = directory
        self._command = command
        self._client = client
        self.process = self._start()

    def say(self, *words: str | int) -> str:
        """Send a command by redis-cli and return what it printed."""
        command = [*self._client, *map(str, words)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()

    def restart(self) -> None:
        """Kill the process if it runs, and start it again on the same port and directory."""
        self.kill()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(self._command, cwd=self.directory, stdout=log, stderr=log)
        _wait_for(lambda: self.say("PING") in ("PONG", ""), process, self.directory / "log")
        return process


@contextmanager
def redis_server(*arguments: str, password: str = "", tls: Path | None = None, port: int = 0) -> Iterator[RunningRedis]:
    """Run a Redis; `tls` is a directory made by `certificates`, `arguments` are as of its command line."""
    binary, client = _redis_binaries()
    port = port or free_port()
    plain_port = 0 if tls else port
    command = [binary, "--bind", "127.0.0.1", "--port", str(plain_port), "--save", "", *arguments]
    saying = [client, "-p", str(port), "--no-auth-warning"]
    scheme = "redis"
    if tls:
        files = [f"{tls}/server.crt", f"{tls}/server.key", f"{tls}/ca.crt"]
        options = ["--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file"]
        command += ["--tls-port", str(port), "--tls-auth-clients", "no"]
        command += [word for pair in zip(options, files, strict=True) for word in pair]
        saying += ["--tls", "--cacert", f"{tls}/ca.crt"]
        scheme = "rediss"
    if password:
        command += ["--requirepass", password, "--masterauth", password]
        saying += ["-a", password]
    with tempfile.TemporaryDirectory() as directory:
        url = f"{scheme}://127.0.0.1:{port}/0" + (f"?ssl_ca_certs={tls}/ca.crt" if tls else "")
        server = RunningRedis(command, port, saying, url, Path(directory))
        try:
            yield server
        finally:
            server.kill()


class RunningSentinels:
    """A master, a replica, and sentinels that watch them."""

    def __init__(self, master: RunningRedis, replica: RunningRedis, sentinels: list[RunningRedis]) -> None:
        self.master = master
        self.replica = replica
        self.url = f"sentinel://{','.join(f'127.0.0.1:{one.port}' for one in sentinels)}/main/0"
        self.sentinels = sentinels

    def master_port(self) -> int:
        """Which port the first sentinel takes for the master's."""
        return int(self.sentinels[0].say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").split()[1])


@contextmanager
def sentinels(number: int = 1) -> Iterator[RunningSentinels]:
    """Run a master, a replica and sentinels that fail over half a second after the master's death."""
    with ExitStack() as stack:
        master = stack.enter_context(redis_server())
        replica = stack.enter_context(
            redis_server("--replicaof", f"127.0.0.1 {master.port}", "--repl-diskless-sync-delay", "0")
        )
        wait_until(lambda: "master_link_status:up" in replica.say("INFO", "replication"))
        watching = [stack.enter_context(_sentinel(master.port, number // 2 + 1)) for _ in range(number)]
        wait_until(lambda: all("slaves=1" in one.say("INFO", "sentinel") for one in watching))
        yield RunningSentinels(master, replica, watching)


class RunningCluster:
    """The nodes of a cluster of three masters."""

    def __init__(self, nodes: list[RunningRedis]) -> None:
        self.nodes = nodes
        self.url = f"cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes[:2])}"


@contextmanager
def redis_cluster() -> Iterator[RunningCluster]:
    """Run a cluster of three masters without replicas."""
    _, client = _redis_binaries()
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "15000")  # tests freeze nodes for less
        nodes = [stack.enter_context(redis_server(*options, port=_cluster_port())) for _ in range(3)]
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        creation = [client, "--cluster", "create", *places, "--cluster-yes"]
        subprocess.run(creation, check=True, capture_output=True, timeout=60)
        wait_until(lambda: all("cluster_state:ok" in node.say("CLUSTER", "INFO") for node in nodes))
        yield RunningCluster(nodes)


class Proxy:
    """A way to a server that can be made bad."""

    def __init__(self, control: int, port: int) -> None:
        self.port = port
        self._control = control

    def poison(self, kind: str, attributes: Mapping[str, int]) -> None:
        """Add a toxic of Toxiproxy to what comes back: latency, timeout, limit_data, reset_peer, slicer."""
        toxic = {"name": kind, "type": kind, "stream": "downstream", "attributes": attributes}
        _post(self._control, "/proxies/server/toxics", toxic)

    def heal(self) -> None:
        """Remove all toxics."""
        _post(self._control, "/reset", {})

    def cut(self, *, is_cut: bool) -> None:
        """Refuse connections and close those there are, or take them again."""
        _post(self._control, "/proxies/server", {"enabled": not is_cut})


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Run Toxiproxy before a port of 127.0.0.1."""
    if not TOXIPROXY.exists():
        missing("toxiproxy", "make servers")
    control, listening = free_port(), free_port()
    command = [str(TOXIPROXY), "-host", "127.0.0.1", "-port", str(control)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(control))
        proxy = {"name": "server", "listen": f"127.0.0.1:{listening}", "upstream": f"127.0.0.1:{port}"}
        _post(control, "/proxies", proxy)
        yield Proxy(control, listening)
    finally:
        process.kill()
        process.wait()


def certificates(directory: Path) -> Path:
    """Make an authority's certificate (ca.crt) and one of 127.0.0.1 that it signed (server.crt, server.key)."""
    openssl = shutil.which("openssl") or missing("openssl", "the package manager")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    new = "req -newkey rsa:2048 -nodes"
    steps = (
        f"{new} -x509 -days 2 -subj /CN=test-ca -keyout ca.key -out ca.crt",
        f"{new} -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    )
    for step in steps:
        subprocess.run([openssl, *step.split()], cwd=directory, check=True, capture_output=True)
    return directory


def wait_until(is_so: Callable[[], bool], seconds: float = LONGEST_START_SECONDS) -> None:
    """Return when something has come to be so; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it has not come to be so in {seconds} s")
        time.sleep(0.02)


def missing(name: str, remedy: str) -> NoReturn:
    """Skip the test for want of a server; under CI=true, where all are there, fail it."""
    reason = f"{name} is missing: {remedy} installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _sentinel(master_port: int, quorum: int) -> Iterator[RunningRedis]:
    binary, client = _redis_binaries()
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "sentinel.conf"
        configuration.write_text(
            f"bind 127.0.0.1\nport {port}\ndir {directory}\n"
            f"sentinel monitor main 127.0.0.1 {master_port} {quorum}\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        )
        command = [binary, str(configuration), "--sentinel"]
        server = RunningRedis(command, port, [client, "-p", str(port)], "", Path(directory))
        try:
            yield server
        finally:
            server.kill()


def _redis_binaries() -> tuple[str, str]:
    """Return a server and its command line client: Redis, or else Valkey."""
    for name in ("redis", "valkey"):
        if (server := shutil.which(f"{name}-server")) and (client := shutil.which(f"{name}-cli")):
            return server, client
    missing("redis-server (or valkey-server)", "make servers")


def _cluster_port() -> int:
    """Return a free port whose neighbour 10,000 above, on which the nodes talk, is free too."""
    while True:
        port = free_port()
        if port + 10_000 < 65_536 and not _listens(port + 10_000):
            return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(subprocess.CalledProcessError):
            if is_ready():
                return
        time.sleep(0.01)
    raise RuntimeError(f"the server did not start: {log.read_text()}")


def _post(port: int, path: str, body: object) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # the proxy that this test started
        content = response.read()
    return json.loads(content) if content else None
