"""What a cluster has before anything is installed: nodes, and volumes that a claim finds."""

from typing import Any

NODES = ("node-1", "node-2")
CAPACITY = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"}
VOLUMES = 20
STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
}


def cluster_objects() -> list[dict[str, Any]]:
    """Return nodes, each a zone of its own, and volumes of the default class: nothing here makes one on demand."""
    return [*map(_node, NODES), STORAGE_CLASS, *map(_volume, range(VOLUMES))]


def _node(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": f"of-{name}"}
    metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": {"capacity": CAPACITY}}


def _volume(number: int) -> dict[str, Any]:
    spec = {
        "capacity": {"storage": "1Ti"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"/volumes/{number}"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume-{number}"}, "spec": spec}
