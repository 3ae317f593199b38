"""The two APIs of metrics that an autoscaler asks, answered from a Prometheus by the rules of its adapter."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.tools.kubernetes import RunningKubernetes
from tests.tools.prometheus import RunningPrometheus
from tests.tools.releases import NAMESPACES

RULES = NAMESPACES.parent / "prometheus-adapter.yaml"
PROCESSOR = "rate(process_cpu_seconds_total{<<.LabelMatchers>>}[10s])"
MEMORY = "process_resident_memory_bytes{<<.LabelMatchers>>}"
VERSIONS = {"custom.metrics.k8s.io": "v1beta2", "metrics.k8s.io": "v1beta1"}
NAMESPACE = "default"


class Metrics:
    """What pods measure of themselves."""

    def __init__(self, cluster: RunningKubernetes, prometheus: RunningPrometheus) -> None:
        self._cluster = cluster
        self._prometheus = prometheus

    def answer(self, path: str, selector: str) -> Any:
        """Answer a request of the API server; raises KeyError where there is nothing."""
        match path.strip("/").split("/"):
            case ["apis", group, version]:
                return _resources(group, version)
            case ["apis", "custom.metrics.k8s.io", _, "namespaces", namespace, "pods", "*", metric]:
                return self._custom(namespace, selector, metric)
            case ["apis", "metrics.k8s.io", _, "namespaces", namespace, "pods"]:
                return self._usage(namespace, selector)
        raise KeyError(path)

    def _custom(self, namespace: str, selector: str, metric: str) -> Any:
        (rule,) = (one for one in _rules() if one["seriesQuery"].startswith(f"{metric}{{"))
        query = rule["metricsQuery"].replace("<<.Series>>", metric).replace("<<.GroupBy>>", "pod")
        values = self._of_pods(query, namespace, self._pods(namespace, selector))
        items = [
            {
                "describedObject": {"kind": "Pod", "apiVersion": "/v1", "namespace": namespace, "name": pod},
                "metric": {"name": metric},
                "timestamp": _now(),
                "value": f"{value * 1000:.0f}m",
            }
            for pod, value in values.items()
        ]
        return {
            "kind": "MetricValueList",
            "apiVersion": "custom.metrics.k8s.io/v1beta2",
            "metadata": {},
            "items": items,
        }

    def _usage(self, namespace: str, selector: str) -> Any:
        pods = self._pods(namespace, selector)
        processor, memory = (self._of_pods(query, namespace, pods) for query in (PROCESSOR, MEMORY))
        items = [
            {
                "metadata": {"name": pod, "namespace": namespace},
                "timestamp": _now(),
                "window": "10s",
                "containers": [
                    {
                        "name": pods[pod],
                        "usage": {"cpu": f"{processor[pod] * 1e9:.0f}n", "memory": f"{memory[pod]:.0f}"},
                    }
                ],
            }
            for pod in processor.keys() & memory.keys()
        ]
        return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}

    def _pods(self, namespace: str, selector: str) -> dict[str, str]:
        """Return the names of the selected pods' containers by those of the pods."""
        pods = self._cluster.pods(namespace, selector)
        return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["name"] for pod in pods}

    def _of_pods(self, query: str, namespace: str, pods: Mapping[str, str]) -> dict[str, float]:
        matchers = f'namespace="{namespace}",pod=~"{"|".join(pods)}"'
        samples = self._prometheus.query(query.replace("<<.LabelMatchers>>", matchers))
        return {sample.labels["pod"]: sample.value for sample in samples}


@contextmanager
def metrics_served(cluster: RunningKubernetes, prometheus: RunningPrometheus) -> Iterator[None]:
    """Let the cluster's API answer for what Prometheus has scraped of pods, by their label `pod`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.directory / "apiserver.crt", cluster.directory / "apiserver.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, Metrics(cluster, prometheus)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    objects = [_service(), *(_api_service(group, server.server_port) for group in VERSIONS)]
    try:
        cluster.apply(*objects)
        cluster.kubectl("wait", "--for=condition=Available", "--timeout=60s", *map(_api_name, VERSIONS))
        yield
    finally:
        cluster.kubectl("delete", *map(_api_name, VERSIONS))
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, metrics: Metrics, *arguments: Any) -> None:
        self._metrics = metrics
        super().__init__(*arguments)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        try:
            status, found = (
                200,
                self._metrics.answer(unquote(url.path), parse_qs(url.query).get("labelSelector", [""])[0]),
            )
        except KeyError:
            status, found = 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        content = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing."""


def _rules() -> list[dict[str, str]]:
    rules: list[dict[str, str]] = yaml.safe_load(RULES.read_text())["rules"]["custom"]
    return rules


def _resources(group: str, version: str) -> Any:
    metrics = [f"pods/{rule['seriesQuery'].partition('{')[0]}" for rule in _rules()]
    names, kind = (["pods"], "PodMetrics") if group == "metrics.k8s.io" else (metrics, "MetricValueList")
    common = {"singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
    resources = [{"name": name, **common} for name in names]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}", "resources": resources}


def _service() -> dict[str, Any]:
    metadata = {"name": "metrics", "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }


def _api_service(group: str, port: int) -> dict[str, Any]:
    spec = {
        "group": group,
        "version": VERSIONS[group],
        "service": {"name": "metrics", "namespace": NAMESPACE, "port": port},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    name = {"name": f"{VERSIONS[group]}.{group}"}
    return {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": name, "spec": spec}


def _api_name(group: str) -> str:
    return f"apiservice/{VERSIONS[group]}.{group}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
