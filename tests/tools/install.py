"""Installs the real servers that tests need, once a machine, outside the checkout: `python -m tests.tools.install`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path.home() / ".cache" / "retrieval-service"
TOXIPROXY_VERSION = "2.5.0"
TOXIPROXY = CACHE / f"toxiproxy-{TOXIPROXY_VERSION}" / "server"
WEAVIATE_VERSION = "1.39.0"
WEAVIATE = CACHE / f"weaviate-{WEAVIATE_VERSION}" / "weaviate-server"
MODULES = {
    TOXIPROXY: f"github.com/Shopify/toxiproxy/v2/cmd/server@v{TOXIPROXY_VERSION}",
    WEAVIATE: f"github.com/weaviate/weaviate/cmd/weaviate-server@v{WEAVIATE_VERSION}",
}
"""What Go builds, by where the program goes; Weaviate takes minutes."""
PACKAGES = {
    "strace": ("strace",),
    "redis-server": ("redis-server", "valkey-server"),
    "openssl": ("openssl",),
    "wrk": ("wrk",),
}
"""Packages of Debian and Ubuntu, by the programs of which one suffices."""


def main() -> None:
    """Install what is missing; where that is not possible, say which tests are skipped for want of it."""
    _install_packages([package for package, programs in PACKAGES.items() if not any(map(shutil.which, programs))])
    for program, module in MODULES.items():
        if not program.exists():
            _build(program, module)


def _install_packages(packages: list[str]) -> None:
    if not packages:
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        _complain(" and ".join(packages), "install them with the package manager")
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if _run([apt, "update", "-qq"], environment):
        _run([apt, "install", "-y", "-qq", "--no-install-recommends", *packages], environment)


def _build(program: Path, module: str) -> None:
    go = shutil.which("go")
    if go is None:
        _complain(program.parent.name, "install Go, which builds it")
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    _run([go, "install", module], os.environ | {"GOBIN": str(program.parent)})


def _run(command: list[str], environment: dict[str, str]) -> bool:
    """Run quietly, and tell whether it went well; what went wrong is printed."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}\n")
    return done.returncode == 0


def _complain(what: str, remedy: str) -> None:
    sys.stderr.write(f"Tests that need {what} are skipped: {remedy}.\n")


if __name__ == "__main__":
    main()
