"""What stands in k8s/ beside the chart and repeats its facts: names of namespaces, ports, metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.chart.rendering import ENVIRONMENTS, RELEASE, Object, environments, namespace_of, of_kind, render
from scripts.chart.schema import CHART

LEVEL = "restricted"
ADAPTER = """\
Values of the chart prometheus-adapter: the metric that the HPA reads. Where an adapter runs already, add what stands
under `custom` to its own: `default: false` is for one that does nothing else."""
ARGO_CD = """\
Argo CD: an application for each environment that names its secrets. An application is not named as the release in it,
so let Argo CD track by annotation, as it does since version 3, or by another label (application.instanceLabelKey): it
would overwrite app.kubernetes.io/instance, by which the chart's objects find each other."""
HEADER = "# Written by `python -m scripts.chart` from the chart and its environments; change it there.\n"


def cluster_files() -> dict[str, str]:
    """Return the files of k8s/ by name."""
    return {
        "namespaces.yaml": _document("One namespace an environment, and what may run there.", *namespaces()),
        "kind.yaml": _document("A cluster on this machine: kind create cluster --config k8s/kind.yaml", kind_cluster()),
        "prometheus-adapter.yaml": _document(ADAPTER, adapter()),
        "argocd.yaml": _document(ARGO_CD, argo_cd()),
    }


def namespaces() -> list[Object]:
    """Return the namespaces, each of which enforces the restricted Pod Security Standard."""
    labels = {f"pod-security.kubernetes.io/{mode}": LEVEL for mode in ("enforce", "audit", "warn")}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace_of(environment), "labels": labels}}
        for environment in environments()
    ]


def kind_cluster() -> Object:
    """Return a cluster whose node shows the port of development's Service on the machine."""
    node_ports = [
        port["nodePort"]
        for service in of_kind(render("dev"), "Service")
        for port in service["spec"]["ports"]
        if "nodePort" in port
    ]
    mappings = [{"containerPort": port, "hostPort": 8000, "listenAddress": "127.0.0.1"} for port in node_ports]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": RELEASE,
        "nodes": [{"role": "control-plane", "extraPortMappings": mappings}],
    }


def adapter() -> Object:
    """Return rules for every metric of pods that an HPA of production reads."""
    metrics = [
        metric["pods"]["metric"]["name"]
        for autoscaler in of_kind(render("production"), "HorizontalPodAutoscaler")
        for metric in autoscaler["spec"]["metrics"]
        if metric["type"] == "Pods"
    ]
    overrides = {label: {"resource": label} for label in ("namespace", "pod")}
    url, _, port = _values(CHART / "values.yaml")["keda"]["prometheusAddress"].rpartition(":")
    return {
        "prometheus": {"url": url, "port": int(port)},
        "rules": {
            "default": False,
            "custom": [
                {
                    "seriesQuery": f'{name}{{namespace!="",pod!=""}}',
                    "resources": {"overrides": overrides},
                    "name": {"matches": f"^{name}$"},
                    "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
                }
                for name in metrics
            ],
        },
    }


def argo_cd() -> Object:
    """Return an ApplicationSet. Argo CD renders without a cluster, so it cannot keep a secret that the chart makes."""
    elements = [
        {"environment": name, "namespace": namespace_of(name)}
        for name in environments()
        if names_its_secrets(_values(ENVIRONMENTS / f"{name}.yaml"))
    ]
    source = {
        "repoURL": "https://git.example.com/retrieval-service.git",
        "targetRevision": "main",
        "path": "charts/retrieval",
        "helm": {"releaseName": RELEASE, "valueFiles": ["../../k8s/environments/{{.environment}}.yaml"]},
    }
    application = {
        "metadata": {"name": "retrieval-{{.environment}}"},
        "spec": {
            "project": "default",
            "source": source,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "{{.namespace}}"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": RELEASE, "namespace": "argocd"},
        "spec": {"goTemplate": True, "generators": [{"list": {"elements": elements}}], "template": application},
    }


def names_its_secrets(values: Mapping[str, Any]) -> bool:
    """Return whether the values of an environment name every secret that the chart would make otherwise."""
    inside = [server for server in ("redis", "weaviate") if values.get(server, {}).get("enabled")]
    return all(values.get(part, {}).get("existingSecret") for part in ("apiKeys", *inside))


def _values(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def _document(purpose: str, *objects: Any) -> str:
    # Aliases would be right, and nobody expects them.
    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    comment = "".join(f"# {line}\n" for line in purpose.splitlines())
    return HEADER + comment + yaml.dump_all(objects, Dumper=dumper, sort_keys=False, width=120)
