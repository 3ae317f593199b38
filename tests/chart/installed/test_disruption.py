"""Voluntary disruptions on a real API server: nobody takes more pods at once than the budget allows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.tools.kubernetes import Refused, RunningKubernetes
from tests.tools.kubernetes_objects import NODES
from tests.tools.programs import KUBECTL
from tests.tools.releases import Release, values, wait_calmly

PODS = 4
MANY = values("production", "autoscaling.enabled=false", f"replicaCount={PODS}")


def test_an_eviction_beyond_the_budget_is_refused_with_429(release: Release) -> None:
    release.install(*MANY)
    first, second, *_ = sorted(release.settle(PODS))

    with _cordoned(release.cluster, *NODES):  # what replaces an evicted pod finds no node
        _evict(release, first)
        with pytest.raises(Refused, match=r"TooManyRequests.*disruption budget"):
            _evict(release, second)

    release.settle(PODS)
    _evict(release, second)


def test_a_drain_waits_until_other_nodes_have_taken_over(release: Release) -> None:
    release.install(*MANY, f"--set=podLabels.test={release.namespace}")
    release.settle(PODS)
    drained, other = NODES
    assert drained in release.ready_pods().values()

    draining = ("drain", drained, "--delete-emptydir-data", f"--pod-selector={_of(release)}", "--timeout=120s")
    with _cordoned(release.cluster, drained, other), release.cluster.running(KUBECTL, *draining) as drain:
        assert drain.stdout
        said = next(line for line in drain.stdout if "will retry" in line)
        assert "disruption budget" in said
        assert len(release.ready_pods()) == PODS - 1

        release.cluster.kubectl("uncordon", other)
        fewest = PODS
        while drain.poll() is None:
            fewest = min(fewest, len(release.ready_pods()))

        assert drain.returncode == 0
        assert fewest >= PODS - 1
    wait_calmly(lambda: [*release.ready_pods().values()] == [other] * PODS, 60)


def test_a_single_pod_has_no_budget_that_would_block_every_drain(release: Release) -> None:
    release.install()
    (pod,) = release.settle(1)

    _evict(release, pod)

    assert pod not in release.settle(1)


def _evict(release: Release, pod: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": release.namespace},
    }
    path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
    release.cluster.kubectl("create", f"--raw={path}", "--filename=-", given=json.dumps(eviction))


def _of(release: Release) -> str:
    """Select the pods of one release: other tests' namespaces may still be going."""
    return f"test={release.namespace}"


@contextmanager
def _cordoned(cluster: RunningKubernetes, *nodes: str) -> Iterator[None]:
    cluster.kubectl("cordon", *nodes)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", *NODES)
