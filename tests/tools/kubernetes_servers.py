"""The command lines of a control plane's servers, all on 127.0.0.1, their files in the folder they are started in."""

from tests.tools.programs import ETCD, KUBERNETES, KWOK
from tests.tools.running import free_port

HEADERS = "--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group"


def etcd(port: int) -> list[str]:
    """Without fsync: what a test writes need not outlive it."""
    own, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return [
        str(ETCD),
        "--unsafe-no-fsync",
        "--data-dir=etcd",
        "--log-level=warn",
        f"--listen-client-urls={own}",
        f"--advertise-client-urls={own}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


def apiserver(store: int, port: int) -> list[str]:
    """With the aggregation of other API servers; `store` is the port of etcd."""
    return [
        str(KUBERNETES / "kube-apiserver"),
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--etcd-servers=http://127.0.0.1:{store}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--client-ca-file=ca.crt",
        "--tls-cert-file=apiserver.crt",
        "--tls-private-key-file=apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=apiserver.key",
        "--service-account-signing-key-file=apiserver.key",
        "--requestheader-client-ca-file=ca.crt",
        "--requestheader-allowed-names=front-proxy",
        *HEADERS.split(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--proxy-client-cert-file=front-proxy.crt",
        "--proxy-client-key-file=front-proxy.key",
        "--shutdown-watch-termination-grace-period=0s",
    ]


def controllers() -> list[str]:
    """Controllers that look at metrics every second, and take those of a pod that has just started."""
    return [
        str(KUBERNETES / "kube-controller-manager"),
        *_client("controllers"),
        "--service-account-private-key-file=apiserver.key",
        "--root-ca-file=ca.crt",
        "--node-monitor-grace-period=1h",  # a busy machine's fake node is late, not lost
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
    ]


def scheduler() -> list[str]:
    """Place pods on nodes."""
    return [str(KUBERNETES / "kube-scheduler"), *_client("scheduler")]


def _client(name: str) -> list[str]:
    common = ("--kubeconfig=kubeconfig", "--leader-elect=false", "--bind-address=127.0.0.1")
    return [*common, f"--secure-port={free_port()}", f"--cert-dir={name}"]


def kwok() -> list[str]:
    """Let nodes and pods become Ready at once."""
    stages = (f"--config={stage}" for stage in sorted((KUBERNETES / "stages").glob("*.yaml")))
    own = ("--manage-all-nodes=true", "--node-ip=127.0.0.1", f"--server-address=127.0.0.1:{free_port()}")
    return [str(KWOK), "--kubeconfig=kubeconfig", *own, *stages]
