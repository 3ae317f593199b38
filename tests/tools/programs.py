"""Where the real servers and tools of tests are kept, outside the checkout, and in which versions."""

from pathlib import Path
from typing import Final

CACHE: Final = Path.home() / ".cache" / "retrieval-service"

TOXIPROXY: Final = CACHE / "toxiproxy-2.5.0" / "server"
WEAVIATE: Final = CACHE / "weaviate-1.39.0" / "weaviate-server"
KUBECONFORM: Final = CACHE / "kubeconform-0.8.0" / "kubeconform"
KUBE_SCORE: Final = CACHE / "kube-score-1.20.0" / "kube-score"
KWOK: Final = CACHE / "kwok-0.8.0" / "kwok"
HELM_DOCS: Final = CACHE / "helm-docs-1.14.2" / "helm-docs"
ETCD: Final = CACHE / "etcd-3.6.8" / "etcd"

KUBERNETES_VERSION: Final = "1.36.3"
KUBERNETES: Final = CACHE / f"kubernetes-{KUBERNETES_VERSION}"
"""A folder: kube-apiserver, kube-controller-manager, kube-scheduler; beside them `swagger.json`, the API's description,
`crds/` that are installed, `described/`, kinds that only schemas need, and `stages/`, by which kwok lets
pods come and go."""
COMMAND_LINES: Final = CACHE / "kubectl-2.0.1"
HELM: Final = COMMAND_LINES / "helm" / "helm"
KUBECTL: Final = COMMAND_LINES / "kubectl" / "kubectl"
