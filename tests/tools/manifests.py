"""What kubeconform and kube-score say of rendered objects; kubeconform reads schemas made here, not from a network."""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scripts.chart.rendering import Object
from tests.tools.programs import KUBE_SCORE, KUBECONFORM, KUBERNETES, KUBERNETES_VERSION
from tests.tools.servers import missing

REFERENCE = "#/definitions/"
LOOSE: dict[str, Any] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
"""Kinds of values of which the description names only one type and the server takes two."""
WORST_GRADE = 10
"""Of kube-score, which grades 1 critical, 5 warning, 7 almost, 10 well."""


def validate(rendered: Sequence[Object]) -> list[str]:
    """What kubeconform refuses, as sentences: unknown fields, wrong types, unknown kinds; none is good."""
    _require(KUBECONFORM)
    with tempfile.TemporaryDirectory() as temporary:
        for kind in {(one["apiVersion"], one["kind"]) for one in rendered}:
            _write_schema(Path(temporary), *kind)
        place = f"file://{temporary}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        command = [str(KUBECONFORM), "-strict", "-verbose", "-output=json", "-schema-location", place, "-"]
        report = json.loads(_said(command, rendered))
    bad = [one for one in report["resources"] if one["status"] != "statusValid"]
    return [f"{one['kind']} {one['name']}: {one['msg']}" for one in bad]


def score(rendered: Sequence[Object], ignored: Iterable[str] = ()) -> list[str]:
    """What kube-score finds fault with, as sentences, but for the checks that are ignored; none is good."""
    _require(KUBE_SCORE)
    ignoring = [word for check in ignored for word in ("--ignore-test", check)]
    version = f"--kubernetes-version=v{KUBERNETES_VERSION.rpartition('.')[0]}"
    command = [str(KUBE_SCORE), "score", "--output-format=json", version, *ignoring, "-"]
    return [sentence for one in json.loads(_said(command, rendered)) or [] for sentence in _faults(one)]


def _faults(scored: dict[str, Any]) -> Iterator[str]:
    for check in scored["checks"]:
        if not check["skipped"] and check["grade"] < WORST_GRADE:
            for comment in check["comments"] or [{"path": "", "summary": ""}]:
                place = f"{scored['object_name']} {comment['path']}".strip()
                yield f"{check['check']['id']}: {place}: {comment['summary']}"


def _said(command: list[str], given: Sequence[Object]) -> str:
    """Return what a program printed that fails where it finds fault."""
    done = subprocess.run(
        command, input=yaml.safe_dump_all(given), capture_output=True, text=True, check=False, timeout=120
    )
    if not done.stdout:
        raise RuntimeError(done.stderr)
    return done.stdout


def _require(program: Path) -> None:
    if not program.exists() or not (KUBERNETES / "swagger.json").exists():
        missing(program.name, "make servers")


def _write_schema(folder: Path, version: str, kind: str) -> None:
    """Write the schema of one kind, strict, where kubeconform will look; nothing where nothing describes the kind."""
    group, _, number = version.rpartition("/")
    suffix = "-".join(part for part in (kind, group.partition(".")[0], number) if part)
    schema = _custom().get((version, kind)) or _built_in(version, kind)
    if schema:
        (folder / f"{suffix.lower()}.json").write_text(json.dumps(schema))


def _built_in(version: str, kind: str) -> dict[str, Any] | None:
    """Return the schema of a kind of the API itself, with the definitions that it refers to."""
    name = _names().get((version, kind))
    if name is None:
        return None
    found: dict[str, Any] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = LOOSE.get(one) or _strict(_definitions()[one])
            waiting += _references(found[one])
    return {"$ref": REFERENCE + name, "definitions": found}


@cache
def _definitions() -> dict[str, Any]:
    described: dict[str, Any] = json.loads((KUBERNETES / "swagger.json").read_text())["definitions"]
    return described


@cache
def _names() -> dict[tuple[str, str], str]:
    """Return the name of each kind's definition."""
    return {
        ("/".join(part for part in (kind["group"], kind["version"]) if part), kind["kind"]): name
        for name, definition in _definitions().items()
        for kind in definition.get("x-kubernetes-group-version-kind", [])
    }


@cache
def _custom() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the schemas of the kinds that custom resource definitions add."""
    schemas = {}
    for path in [*(KUBERNETES / "crds").glob("*.yaml"), *(KUBERNETES / "described").glob("*.yaml")]:
        for definition in filter(None, yaml.load_all(path.read_text(), yaml.CSafeLoader)):
            spec = definition["spec"]
            for version in spec["versions"]:
                schema = _strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return schemas


def _strict(schema: Any) -> Any:
    """Return a schema that lets no other property pass than those it names."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["string", "integer"]
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not is_open and schema.get("type") == "object":
        made["additionalProperties"] = False
    return made


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _references(one)
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(REFERENCE)
            else:
                yield from _references(value)
