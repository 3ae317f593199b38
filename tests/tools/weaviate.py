"""A real Weaviate for tests, one node or several, on free ports of 127.0.0.1 with data in a temporary directory.

Weaviate gives only some listeners an address: HTTP, gossip and Raft are bound to 127.0.0.1, profiling is off. For
gRPC and the nodes' data it knows none: while a test runs they take anybody, without keys. Keep to machines of your own.
"""

import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.tools.programs import WEAVIATE
from tests.tools.running import FIRST_PORT, LAST_PORT
from tests.tools.servers import Unwell, missing

LONGEST_START_SECONDS = 60
SERVICES = ("http", "grpc", "gossip", "data", "raft", "raft_calls")
"""What listens on the ports of a node, one after the other; nodes take it that `data` and `raft_calls` follow."""


class Ports:
    """Ports that are held until the node that is to have them starts."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []
        while not self._held:
            self._hold(random.randrange(FIRST_PORT, LAST_PORT))

    def release(self) -> None:
        """Let somebody else listen on them."""
        for one in self._held:
            one.close()
        self._held = []

    def _hold(self, first: int) -> None:
        for port in range(first, first + len(SERVICES)):
            holder = socket.socket()
            self._held.append(holder)
            try:
                holder.bind(("", port))
            except OSError:
                self.release()
                return
        self.of = dict(zip(SERVICES, range(first, first + len(SERVICES)), strict=True))


class RunningNode(Unwell):
    """A node that answers, or one that a test has made unwell."""

    def __init__(self, name: str, ports: Ports, environment: dict[str, str], directory: Path) -> None:
        self.name = name
        self.ports = ports.of
        self.url = f"http://127.0.0.1:{self.ports['http']}"
        self.grpc_address = f"127.0.0.1:{self.ports['grpc']}"
        self.log = directory / "log"
        self._environment = os.environ | environment | {"PERSISTENCE_DATA_PATH": str(directory / "data")}
        directory.mkdir()
        ports.release()
        self.process = self._started()

    def start(self) -> None:
        """Start the process, which must have ended, on its ports and data, and do not wait for it."""
        self.process = self._started()

    def restart(self) -> None:
        """Kill the process if it runs, start it again and wait until it is ready."""
        self.kill()
        self.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return when the node says that it is ready; raises RuntimeError with the log if it never does."""
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._is_ready():
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not become ready: {self.log.read_text()}")

    def _is_ready(self) -> bool:
        try:
            with (
                urllib.request.urlopen(f"{self.url}/v1/.well-known/ready", timeout=5),  # noqa: S310  # our own
                socket.create_connection(("127.0.0.1", self.ports["grpc"]), 5),
            ):
                return True
        except OSError:  # also what urllib raises, of a status that is not 200 too
            return False

    def _started(self) -> subprocess.Popen[bytes]:
        command = [str(WEAVIATE), "--host", "127.0.0.1", "--port", str(self.ports["http"]), "--scheme", "http"]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=self._environment, cwd=self.log.parent, stdout=log, stderr=log)


class RunningWeaviate:
    """The nodes, and where they are reached."""

    def __init__(self, nodes: Sequence[RunningNode]) -> None:
        self.nodes = nodes
        self.urls = [node.url for node in nodes]
        self.grpc_addresses = [node.grpc_address for node in nodes]


@contextmanager
def weaviate_server(**environment: str) -> Iterator[RunningNode]:
    """Run one node; `environment` are settings of Weaviate's own."""
    with weaviate_cluster(1, **environment) as cluster:
        yield cluster.nodes[0]


@contextmanager
def weaviate_cluster(number: int = 3, **environment: str) -> Iterator[RunningWeaviate]:
    """Run nodes that know each other; `environment` are settings of Weaviate's own."""
    if not WEAVIATE.exists():
        missing("weaviate", "make servers")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory, ExitStack() as stack:
        nodes: list[RunningNode] = []
        ports = [Ports() for _ in range(number)]
        for place, own in enumerate(ports):
            stack.callback(own.release)
            settings = _environment(place, [one.of for one in ports]) | environment
            node = RunningNode(f"node{place + 1}", own, settings, Path(directory) / f"node{place + 1}")
            stack.callback(node.kill)
            nodes.append(node)
        for node in nodes:
            node.wait_ready()
        yield RunningWeaviate(nodes)


def _environment(place: int, ports: Sequence[dict[str, int]]) -> dict[str, str]:
    own = ports[place]
    joined = ",".join(f"node{number + 1}:{one['raft']}" for number, one in enumerate(ports))
    several = {"CLUSTER_IN_LOCALHOST": "true", "RAFT_JOIN": joined} if len(ports) > 1 else {}
    return several | {
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
        "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
        "CLUSTER_BIND_ADDR": "127.0.0.1",
        "CLUSTER_DATA_BIND_PORT": str(own["data"]),
        "CLUSTER_GOSSIP_BIND_PORT": str(own["gossip"]),
        "CLUSTER_HOSTNAME": f"node{place + 1}",
        "CLUSTER_JOIN": f"127.0.0.1:{ports[0]['gossip']}" if place else "",
        "DEFAULT_VECTORIZER_MODULE": "none",
        "DISABLE_TELEMETRY": "true",
        "ENABLE_API_BASED_MODULES": "false",
        "ENABLE_MODULES": "",
        "GO_PROFILING_DISABLE": "true",
        "GRPC_PORT": str(own["grpc"]),
        "LOG_LEVEL": "warning",
        "RAFT_BOOTSTRAP_EXPECT": str(len(ports)),
        "RAFT_INTERNAL_RPC_PORT": str(own["raft_calls"]),
        "RAFT_PORT": str(own["raft"]),
    }


def settings_of(*nodes: RunningNode) -> dict[str, str]:
    """Return the environment of a service that uses these nodes."""
    return {
        "RETRIEVAL_STORE": "weaviate",
        "RETRIEVAL_WEAVIATE_URL": ",".join(node.url for node in nodes),
        "RETRIEVAL_WEAVIATE_GRPC_ADDRESS": ",".join(node.grpc_address for node in nodes),
    }


def bare_settings_of(*nodes: RunningNode) -> dict[str, str]:
    """Return the same as `running_service` takes it."""
    return {name.removeprefix("RETRIEVAL_").lower(): value for name, value in settings_of(*nodes).items()}
