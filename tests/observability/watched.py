"""Real services under a real Prometheus: one with the embedded store, two that share a Weaviate and a Redis."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import yaml
from msgspec import Struct

from tests.observability.traffic import traffic
from tests.tools.prometheus import RunningPrometheus, Target, running_prometheus
from tests.tools.running import Running, running_service
from tests.tools.servers import RunningRedis, redis_server
from tests.tools.weaviate import RunningNode, bare_settings_of

RULES = Path(__file__).parents[2] / "charts" / "retrieval" / "rules"
NAMESPACE = "retrieval"
JOBS = ("embedded", "weaviate")
PODS = {"embedded-7d4b9c-x2x4z": "embedded", "weaviate-5f6d8b-4kq9w": "weaviate", "weaviate-5f6d8b-zt7mc": "weaviate"}
"""Pods by name, and the job of each."""


class Watched(Struct):
    """What runs, and since when."""

    prometheus: RunningPrometheus
    services: dict[str, Running]
    """By pod."""
    redis: dict[str, RunningRedis]
    began: float
    """Seconds since 1970."""

    def exposition(self, pod: str) -> str:
        """Return what a service exports now."""
        return httpx.get(f"{self.services[pod].url}/metrics", timeout=30).text


@contextmanager
def watched(directory: Path, weaviate: RunningNode, interval: str = "1s") -> Iterator[Watched]:
    """Run the services with traffic; rules are evaluated once an interval, not each half minute."""
    with ExitStack() as stack:
        redis = {job: stack.enter_context(redis_server()) for job in JOBS}
        stores = {"embedded": {}, "weaviate": bare_settings_of(weaviate) | {"weaviate_budget_ms": "5000"}}
        services = {
            pod: stack.enter_context(running_service(redis_url=redis[job].url, **stores[job]))
            for pod, job in PODS.items()
        }
        targets = [Target(f"127.0.0.1:{service.port}", labels_of(pod)) for pod, service in services.items()]
        rules = hastened(directory)
        prometheus = stack.enter_context(running_prometheus(directory / "prometheus", targets, rules, interval))
        began = time.time()
        stack.enter_context(traffic(*(service.url for service in services.values())))
        yield Watched(prometheus, services, redis, began)


def labels_of(pod: str) -> dict[str, str]:
    """Return the labels that Kubernetes would give a pod."""
    job = PODS[pod]
    return {"namespace": NAMESPACE, "job": job, "service": job, "pod": pod, "container": "retrieval"}


def hastened(directory: Path) -> list[Path]:
    """Copy the rules without the intervals of their groups, which then follow Prometheus' own."""
    copies = []
    for path in sorted(RULES.glob("*.yaml")):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)
        copies.append(directory / path.name)
        copies[-1].write_text(yaml.safe_dump(rules))
    return copies
