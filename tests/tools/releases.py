"""The chart installed in a namespace of a real cluster, and what became of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import yaml

from scripts.chart.rendering import ENVIRONMENTS, RELEASE
from scripts.chart.schema import CHART
from tests.tools.kubernetes import RunningKubernetes
from tests.tools.programs import HELM
from tests.tools.servers import wait_until

NAMESPACES = ENVIRONMENTS.parent / "namespaces.yaml"

SERVERS = "app.kubernetes.io/component=server"
LONGEST_WAIT_SECONDS = 90
PAUSE_SECONDS = 0.2
UNCOUNTED = (
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "nodes.metrics.k8s.io",
    "pods.metrics.k8s.io",
)
"""Kinds of objects that come and go by themselves, or are measurements."""


def values(environment: str, *settings: str) -> list[str]:
    """Return the arguments for helm of an environment, and of values written as for `--set`."""
    chosen = [f"--values={ENVIRONMENTS / environment}.yaml"]
    return [*chosen, *(f"--set={setting}" for setting in settings)]


class Release:
    """One installation; commands wait until pods are Ready."""

    def __init__(self, cluster: RunningKubernetes, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def install(self, *arguments: str) -> None:
        """Install the chart; raises Refused."""
        self._change("install", RELEASE, str(CHART), *arguments)

    def upgrade(self, *arguments: str) -> None:
        """Change the release to these values and no others; raises Refused."""
        self._change("upgrade", RELEASE, str(CHART), "--reset-values", *arguments)

    @contextmanager
    def upgrading(self, *arguments: str) -> Iterator[Callable[[], bool]]:
        """Change the release meanwhile; yields what tells whether that goes on. It has to go well in the end."""
        with self.cluster.running(
            HELM, *self._words("upgrade", RELEASE, str(CHART), "--reset-values", *arguments)
        ) as upgrade:
            yield lambda: upgrade.poll() is None
            assert upgrade.wait(LONGEST_WAIT_SECONDS) == 0, upgrade.communicate()

    def rollback(self, revision: int) -> None:
        """Return to what a revision installed."""
        self._change("rollback", RELEASE, str(revision))

    def uninstall(self) -> None:
        """Remove the release, and wait until what the cluster made of it is gone too."""
        self._change("uninstall", RELEASE)
        wait_calmly(lambda: not self.cluster.pods(self.namespace, ""), LONGEST_WAIT_SECONDS)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` returns of the namespace, as JSON."""
        return self.cluster.get(*arguments, f"--namespace={self.namespace}")

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace; raises Refused."""
        return self.cluster.kubectl(*arguments, f"--namespace={self.namespace}")

    def ready_pods(self) -> dict[str, str]:
        """Return the nodes of the service's pods that are Ready and stay, by the pods' names."""
        pods = self.cluster.pods(self.namespace, SERVERS)
        return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods if _is_ready(pod)}

    def settle(self, pods: int) -> set[str]:
        """Wait until just so many pods of the service are there and Ready; returns their names."""
        wait_calmly(lambda: self._has_settled(pods), LONGEST_WAIT_SECONDS)
        return set(self.ready_pods())

    def secret(self, name: str) -> dict[str, str]:
        """Return the data of a secret, as it is encoded."""
        data: dict[str, str] = self.get("secret", name)["data"]
        return data

    def objects(self) -> set[str]:
        """Return the kinds and names of all objects in the namespace, and of those that are in none."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "--output=name")
        counted = ",".join(kind for kind in kinds.split() if kind not in UNCOUNTED)
        return set(self.kubectl("get", counted, "--output=name", "--ignore-not-found").split())

    def _has_settled(self, pods: int) -> bool:
        there = self.cluster.pods(self.namespace, SERVERS)
        return len(there) == pods and all(map(_is_ready, there))

    def _change(self, *arguments: str) -> None:
        self.cluster.helm(*self._words(*arguments))

    def _words(self, *arguments: str) -> list[str]:
        return [*arguments, f"--namespace={self.namespace}", "--wait", f"--timeout={LONGEST_WAIT_SECONDS}s"]


def wait_calmly(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when something has come to be so, asking few times: each costs the API server what it needs itself."""

    def is_so_at_last() -> bool:
        time.sleep(PAUSE_SECONDS)
        return is_so()

    wait_until(is_so_at_last, seconds)


@contextmanager
def new_namespace(cluster: RunningKubernetes) -> Iterator[str]:
    """Make a namespace with the labels of those that the repository makes; its end is not waited for."""
    made = next(yaml.safe_load_all(NAMESPACES.read_text()))
    name = made["metadata"]["name"] = f"test-{uuid4().hex[:8]}"
    cluster.apply(made)
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
