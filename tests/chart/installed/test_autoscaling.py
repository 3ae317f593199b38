"""The autoscaler on a real API server, by what a real Prometheus scrapes of real service processes under load."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, pairwise
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.tools.custom_metrics import metrics_served
from tests.tools.prometheus import RunningPrometheus, Target, running_prometheus
from tests.tools.releases import Release, values, wait_calmly
from tests.tools.running import Running, running_service
from tests.tools.slow_imports import held_imports

PROCESSES = 3
HELD = 150
"""Imports in progress in each process; a pod is meant to have 100 requests in progress."""
FAST = [
    f"autoscaling.{way}.{name}Seconds=4" for way in ("scaleUp", "scaleDown") for name in ("stabilization", "period")
]
SCALED = values("production", *FAST)
LONGEST_SECONDS = 180


@pytest.mark.slow
def test_pods_follow_the_requests_in_progress_from_three_to_ten_and_back(release: Release, tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(running_service()) for _ in range(PROCESSES)]
        prometheus = stack.enter_context(running_prometheus(tmp_path))
        stack.enter_context(metrics_served(release.cluster, prometheus))
        release.install(*SCALED)
        stack.enter_context(_scraped_as_pods(release, prometheus, processes))
        _wait_for_pods(release, 3)

        with held_imports([process.port for process in processes], HELD) as imports:
            _wait_for_pods(release, 10)
            grown = _sizes(release)
            assert "active_connections above target" in _reasons(release)

            release.upgrade(*SCALED, "--set=settings.log_level=debug")
            assert len(release.settle(10)) == 10
        assert imports.created == HELD * PROCESSES

        _wait_for_pods(release, 3)
        shrunk = _sizes(release)[len(grown) - 1 :]

    assert all(1 <= after - before <= 2 for before, after in pairwise(grown))
    assert all(before / 2 <= after < before for before, after in pairwise(shrunk))


@pytest.mark.parametrize("merged_by", ["server", "client"])
def test_the_autoscaler_takes_over_pods_that_were_scaled_by_hand_and_none_goes(
    release: Release, merged_by: str
) -> None:
    is_by_server = str(merged_by == "server").lower()
    release.install(*values("production", "autoscaling.enabled=false,replicaCount=3"), f"--server-side={is_by_server}")
    release.kubectl("scale", "deployment", "retrieval", "--replicas=4")
    pods = release.settle(4)

    release.upgrade(*values("production"), "--server-side=true")

    wait_calmly(lambda: _is_able_to_scale(release), LONGEST_SECONDS)
    assert release.settle(4) == pods


def _is_able_to_scale(release: Release) -> bool:
    (autoscaler,) = release.get("horizontalpodautoscalers")["items"]
    conditions = {one["type"]: one["status"] for one in autoscaler.get("status", {}).get("conditions", [])}
    return conditions.get("AbleToScale") == "True"


@contextmanager
def _scraped_as_pods(release: Release, prometheus: RunningPrometheus, processes: list[Running]) -> Iterator[None]:
    """Scrape the processes under the names of the pods there are; where pods are more, several are one process."""
    is_over = Event()

    def follow() -> None:
        known: list[str] = []
        while not is_over.wait(0.5):
            pods = sorted(release.ready_pods())
            if pods != known:
                prometheus.scrape(_targets(release.namespace, pods, processes))
                known = pods

    follower = Thread(target=follow)
    follower.start()
    try:
        yield
    finally:
        is_over.set()
        follower.join()


def _targets(namespace: str, pods: list[str], processes: list[Running]) -> list[Target]:
    addresses = cycle(f"127.0.0.1:{process.port}" for process in processes)
    return [Target(next(addresses), {"namespace": namespace, "pod": pod}) for pod in pods]


def _wait_for_pods(release: Release, number: int) -> None:
    """Wait until the autoscaler wants so many, they are Ready, and it knows all three metrics of them."""

    def is_so() -> bool:
        if len(release.ready_pods()) != number:
            return False
        (autoscaler,) = release.get("horizontalpodautoscalers")["items"]
        known = autoscaler["status"].get("currentMetrics") or []
        return autoscaler["status"]["desiredReplicas"] == number and sum(bool(one.get("type")) for one in known) == 3

    wait_calmly(is_so, LONGEST_SECONDS)


def _sizes(release: Release) -> list[int]:
    """The sizes that the autoscaler chose, in their order."""
    return [int(event["message"].split("New size: ")[1].split(";")[0]) for event in _rescales(release)]


def _reasons(release: Release) -> str:
    return "\n".join(event["message"] for event in _rescales(release))


def _rescales(release: Release) -> list[dict[str, str]]:
    events = release.get("events", "--field-selector=reason=SuccessfulRescale")["items"]
    return sorted(events, key=lambda event: event["metadata"]["resourceVersion"])
