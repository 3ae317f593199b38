"""The pods: how many there are, why they restart, and how close to their limits they run.

From kube-state-metrics and the kubelet's cAdvisor, scraped so that `namespace` and `pod` are those of the object
(honor_labels, as kube-prometheus-stack does).
"""

from typing import Final

from scripts.dashboards.panels import Dashboard, Lines, Query, Row, graph, number
from scripts.dashboards.queries import CONTAINERS, PODS, of

DEPLOYMENT: Final = '{namespace="$namespace", deployment="$job"}'
SCALER: Final = '{namespace="$namespace", horizontalpodautoscaler="$job"}'
RESTARTS: Final = f"kube_pod_container_status_restarts_total{{{PODS}}}"
WORKING_SET: Final = f"max by (pod) (container_memory_working_set_bytes{{{CONTAINERS}}})"


def resource(kind: str, name: str) -> str:
    """Return the limit or request of a resource, by pod."""
    return f'max by (pod) (kube_pod_container_resource_{kind}{{{CONTAINERS}, resource="{name}"}})'


def used(counter: str) -> str:
    """Return how quickly a counter of cAdvisor grows, by pod."""
    return f"sum by (pod) (rate({counter}{{{CONTAINERS}}}[$__rate_interval]))"


THROTTLED: Final = f"{used('container_cpu_cfs_throttled_periods_total')} / {used('container_cpu_cfs_periods_total')}"


NOW = Row(
    "What is wrong",
    (
        number(
            "Ready",
            "Replicas that take requests. Fewer than wanted: kubectl describe pod, its events say why.",
            "short",
            Query(f"sum(kube_deployment_status_replicas_ready{DEPLOYMENT})"),
            lines=Lines(2, 1),
        ),
        number(
            "Missing",
            "Wanted and not there. For long: no room on the nodes, or the start fails.",
            "short",
            Query(f"sum(kube_deployment_status_replicas_unavailable{DEPLOYMENT})"),
            lines=Lines(1, 2),
        ),
        number(
            "Restarts",
            "Of the last hour. Next: Last ends, below; kubectl logs --previous.",
            "short",
            Query(f"sum(increase({RESTARTS}[1h]))"),
            lines=Lines(1, 3),
        ),
        number(
            "Memory",
            "The pod closest to its limit. At the limit the kernel ends it.",
            "percentunit",
            Query(f"max({WORKING_SET} / {resource('limits', 'memory')})"),
            lines=Lines(0.8, 0.9),
        ),
        number(
            "Throttled",
            "Part of periods in which a pod had to wait for the processor: the worst one. Latency follows.",
            "percentunit",
            Query(f"max({THROTTLED})"),
            lines=Lines(0.1, 0.25),
        ),
        number(
            "Room to scale",
            "Replicas that the autoscaler may still add. 0: it cannot help any more.",
            "short",
            Query(
                f"min(kube_horizontalpodautoscaler_spec_max_replicas{SCALER}"
                f" - kube_horizontalpodautoscaler_status_desired_replicas{SCALER})"
            ),
            lines=Lines(2, 1),
            if_nothing="no HPA",
        ),
    ),
)
REPLICAS = Row(
    "Replicas",
    (
        graph(
            "Deployment",
            "wanted above ready for more than a start's time: something keeps pods from becoming ready.",
            "short",
            Query(f"sum(kube_deployment_spec_replicas{DEPLOYMENT})", "wanted"),
            Query(f"sum(kube_deployment_status_replicas_ready{DEPLOYMENT})", "ready"),
            Query(f"sum(kube_deployment_status_replicas_updated{DEPLOYMENT})", "of the newest template"),
        ),
        graph(
            "Autoscaler",
            "desired at max: raise autoscaling.maxReplicas, or find what asks so much.",
            "short",
            Query(f"sum(kube_horizontalpodautoscaler_spec_min_replicas{SCALER})", "min"),
            Query(f"sum(kube_horizontalpodautoscaler_spec_max_replicas{SCALER})", "max"),
            Query(f"sum(kube_horizontalpodautoscaler_status_current_replicas{SCALER})", "current"),
            Query(f"sum(kube_horizontalpodautoscaler_status_desired_replicas{SCALER})", "desired"),
        ),
        graph(
            "Requests in progress by pod",
            "What the autoscaler follows, besides processor and memory; uneven: sticky clients.",
            "short",
            Query(f"max by (pod) ({of('active_connections')})", "{{pod}}"),
        ),
    ),
)
RESTARTING = Row(
    "Restarts",
    (
        graph(
            "Restarts by pod",
            "In an hour.",
            "short",
            Query(f"max by (pod) (increase({RESTARTS}[1h]))", "{{pod}}"),
            width=12,
        ),
        graph(
            "Last ends",
            "Why a container ended last. OOMKilled: more memory, or smaller caches. Error: kubectl logs --previous.",
            "short",
            Query(
                f"max by (pod, reason) (kube_pod_container_status_last_terminated_reason{{{PODS}}})",
                "{{reason}} {{pod}}",
            ),
            width=12,
        ),
    ),
)
RESOURCES = Row(
    "Resources",
    (
        graph(
            "Processor",
            "Against what is requested and allowed.",
            "cores",
            Query(used("container_cpu_usage_seconds_total"), "{{pod}}"),
            Query(f"max({resource('requests', 'cpu')})", "requested"),
            Query(f"max({resource('limits', 'cpu')})", "limit"),
        ),
        graph(
            "Memory",
            "The working set, by which the kernel ends processes. 80 % of the limit is an alert.",
            "bytes",
            Query(WORKING_SET, "{{pod}}"),
            Query(f"max({resource('limits', 'memory')})", "limit"),
        ),
        graph(
            "Throttling",
            "Part of periods in which a pod had to wait for the processor. Raise resources.limits.cpu.",
            "percentunit",
            Query(THROTTLED, "{{pod}}"),
            lines=Lines(0.1, 0.25),
            most=1,
        ),
    ),
)
PAGE = Dashboard(
    "kubernetes",
    "Retrieval: Kubernetes",
    "The pods: how many there are, why they restart, and how close to their limits they run.",
    (NOW, REPLICAS, RESTARTING, RESOURCES),
)
