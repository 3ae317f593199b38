"""A real Kubernetes control plane whose nodes are fake: pods become Ready and run nothing; all else is as it is."""

import json
import os
import ssl
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.tools import kubernetes_servers as servers
from tests.tools.kubernetes_certificates import make_certificates
from tests.tools.kubernetes_objects import cluster_objects
from tests.tools.programs import ETCD, HELM, KUBECTL, KUBERNETES, KWOK
from tests.tools.running import free_port
from tests.tools.servers import missing, wait_until

LONGEST_START_SECONDS = 90
LONGEST_COMMAND_SECONDS = 180


class Refused(Exception):
    """What a command that failed printed."""


class RunningKubernetes:
    """A cluster, and the command lines that are bound to it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self._url = f"https://127.0.0.1:{port}"
        kubeconfig = _write_kubeconfig(directory, self._url)
        self._context = ssl.create_default_context(cafile=directory / "ca.crt")
        self._context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
        own = {"CACHE_HOME": "cache", "CONFIG_HOME": "config", "DATA_HOME": "data"}
        self._environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "KUBECACHEDIR": str(directory / "kubectl"),
            **{f"HELM_{name}": str(directory / "helm" / folder) for name, folder in own.items()},
        }

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl, with `given` as its input; raises Refused."""
        return self._run([str(KUBECTL), *arguments], given)

    def helm(self, *arguments: str) -> str:
        """Run helm; raises Refused."""
        return self._run([str(HELM), *arguments], None)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` returns, as JSON."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods that a selector of labels selects; many times a second costs little."""
        url = f"{self._url}/api/v1/namespaces/{namespace}/pods?{urllib.parse.urlencode({'labelSelector': selector})}"
        with urllib.request.urlopen(url, context=self._context, timeout=60) as answer:  # noqa: S310  # our own server
            items: list[dict[str, Any]] = json.load(answer)["items"]
        return items

    def apply(self, *objects: Any) -> None:
        """Create objects, or change those there are."""
        self.kubectl("apply", "--server-side", "--filename=-", given="\n".join(map(json.dumps, objects)))

    @contextmanager
    def running(self, program: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command line, read what it prints or not, and end it if it has not ended."""
        pipe = subprocess.PIPE
        command = [str(program), *arguments]
        with subprocess.Popen(
            command, env=self._environment, text=True, stdout=pipe, stderr=subprocess.STDOUT
        ) as started:
            try:
                yield started
            finally:
                started.kill()

    def _run(self, command: list[str], given: str | None) -> str:
        done = subprocess.run(
            command,
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_COMMAND_SECONDS,
        )
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout


@contextmanager
def kubernetes_cluster() -> Iterator[RunningKubernetes]:
    """Run a cluster of two nodes that knows the custom kinds of the chart."""
    for program in (ETCD, KUBERNETES / "kube-apiserver", KWOK, KUBECTL, HELM):
        if not program.exists():
            missing(program.name, "make servers")
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        directory = Path(temporary)
        make_certificates(directory)
        store, port = free_port(), free_port()
        cluster = RunningKubernetes(directory, port)
        processes: list[subprocess.Popen[bytes]] = []

        def start(*commands: list[str]) -> None:
            processes.extend(stack.enter_context(_process(directory, command)) for command in commands)

        start(servers.etcd(store), servers.apiserver(store, port))
        _await(lambda: cluster.kubectl("get", "--raw=/readyz") == "ok", processes, directory)
        start(servers.controllers(), servers.scheduler(), servers.kwok())  # they give up on a server that is late
        _await(lambda: "default" in cluster.kubectl("get", "serviceaccounts"), processes, directory)
        cluster.apply(*cluster_objects())
        cluster.kubectl("apply", "--server-side", f"--filename={KUBERNETES / 'crds'}")
        for kind, condition in (("customresourcedefinitions", "Established"), ("nodes", "Ready")):
            cluster.kubectl("wait", f"--for=condition={condition}", kind, "--all", "--timeout=90s")
        yield cluster


def _write_kubeconfig(directory: Path, url: str) -> Path:
    user = {"client-certificate": str(directory / "admin.crt"), "client-key": str(directory / "admin.key")}
    cluster = {"server": url, "certificate-authority": str(directory / "ca.crt")}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(configuration))
    return path


@contextmanager
def _process(directory: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(is_so: Callable[[], bool], processes: Iterable[subprocess.Popen[bytes]], directory: Path) -> None:
    """Wait until a command succeeds and it is so; raises RuntimeError with the logs if a server has ended."""

    def is_up() -> bool:
        if any(process.poll() is not None for process in processes):
            raise RuntimeError("\n".join(path.read_text()[-2000:] for path in directory.glob("*.log")))
        with suppress(Refused):
            return is_so()
        return False

    wait_until(is_up, LONGEST_START_SECONDS)
