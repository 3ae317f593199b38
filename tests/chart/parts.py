"""Finds parts of rendered objects."""

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scripts.chart.rendering import Object, of_kind

Rendered = Callable[..., list[Object]]
"""Renders an environment and further values; the fixture `rendered`."""
SHARED: dict[str, Any] = {
    "settings": {"store": "weaviate"},
    "weaviate": {"url": "http://weaviate:8080", "grpcAddress": "weaviate:50051"},
    "redis": {"url": "redis://redis:6379/0"},
}
"""Values of a release whose pods share an external store."""


def one(objects: Sequence[Object], kind: str, name: str = "retrieval") -> Object:
    """Return the object of a kind and name."""
    (found,) = (every for every in of_kind(objects, kind) if every["metadata"]["name"] == name)
    return found


def pod_specs(objects: Sequence[Object]) -> dict[str, Any]:
    """Return the pods that come of the objects, by their names."""
    deployments = {
        every["metadata"]["name"]: every["spec"]["template"]["spec"] for every in of_kind(objects, "Deployment")
    }
    return deployments | {every["metadata"]["name"]: every["spec"] for every in of_kind(objects, "Pod")}


def server(objects: Sequence[Object]) -> Any:
    """Return the pod of the service itself."""
    return pod_specs(objects)["retrieval"]


def containers(objects: Sequence[Object]) -> Iterator[tuple[str, Any]]:
    """Yield every container beside the name of its pod."""
    for name, spec in pod_specs(objects).items():
        yield from ((name, container) for container in spec["containers"])


def selectors(value: Any) -> Iterator[dict[str, str]]:
    """Yield the labels by which anything in an object selects pods, but for those that select all."""
    if isinstance(value, list):
        for every in value:
            yield from selectors(every)
    if isinstance(value, dict):
        for key, every in value.items():
            if key == "matchLabels" or (key == "selector" and "matchLabels" not in every):
                yield every
            else:
                yield from selectors(every)


def secret_text(objects: Sequence[Object], name: str, key: str) -> str:
    """Return what a secret holds."""
    return base64.b64decode(one(objects, "Secret", name)["data"][key]).decode()


def settings(objects: Sequence[Object]) -> dict[str, str]:
    """Return the variables that the service gets, but for those of secrets."""
    data: dict[str, str] = one(objects, "ConfigMap", "retrieval-settings")["data"]
    return data
