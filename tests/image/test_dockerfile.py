"""The Dockerfile keeps the rules that hadolint and a careful reader would hold it to."""

import fnmatch
import re
import subprocess
import tomllib

import pytest

from tests.image.dockerfile import ROOT, Instruction, instructions

ALL = instructions()
LAST = [one for one in ALL if one.stage == max(one.stage for one in ALL)]


def named(name: str, among: list[Instruction] = ALL) -> list[Instruction]:
    return [one for one in among if one.name == name]


def only(name: str) -> Instruction:
    (found,) = named(name, LAST)
    return found


def test_bases_are_pinned_to_a_release_of_python_and_of_debian() -> None:
    for base in named("FROM"):
        assert re.match(r"python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?( AS [a-z]+)?$", base.value), base


def test_the_user_is_a_number_and_not_root() -> None:
    assert only("USER").value == "65532:65532"
    following = LAST[LAST.index(only("USER")) :]
    assert not named("RUN", following)
    assert not named("COPY", following)


def test_what_is_started_is_in_exec_form_so_that_signals_reach_it() -> None:
    assert only("ENTRYPOINT").words == ["retrieval"]
    assert only("CMD").words == ["serve"]
    assert only("STOPSIGNAL").value == "SIGTERM"
    assert re.fullmatch(r"CMD \[.*\]", only("HEALTHCHECK").value)


def test_nothing_is_added_from_elsewhere() -> None:
    assert not named("ADD")
    assert not [one for one in ALL if re.search(r"\b(curl|wget|git clone|apt-get|sudo|latest)\b", one.value)]


def test_packages_are_installed_from_wheels_whose_hashes_are_known() -> None:
    steps = [step for run in named("RUN") for step in run.value.split("&&")]
    installing = [step.split() for step in steps if re.search(r"\bpip\b.* install ", step)]
    assert len(installing) == 3
    for words in installing:
        assert {"--require-hashes", "--only-binary"} <= set(words) or {"--no-index", "--no-deps"} <= set(words), words


def test_neither_compilers_nor_caches_stay() -> None:
    assert [run.value.split()[0] for run in named("RUN", LAST)] == ["install"]
    assert [copy.flags for copy in named("COPY", LAST)] == [("from=builder",)]


def test_no_secret_is_written_into_it() -> None:
    for one in [*named("ENV"), *named("ARG"), *named("LABEL")]:
        assert not re.search(r"password|secret|token|api_?key", one.value, re.IGNORECASE), one


def test_labels_say_what_it_is_and_of_which_commit() -> None:
    labels = only("LABEL").value
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'org.opencontainers.image.version="{version}"' in labels
    for name in ("title", "description", "licenses", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def ignored() -> list[str]:
    """The rules of .dockerignore; of several that match, the last holds."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_sent(path: str) -> bool:
    """Whether the builder gets a file, as docker reads the rules: each is for a path or a folder above it."""
    parts = path.split("/")
    above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
    sent = True
    for rule in ignored():
        pattern = rule.removeprefix("!")
        names = parts if pattern.startswith("**/") else above
        if any(_matches(name, pattern.removeprefix("**/")) for name in names):
            sent = rule.startswith("!")
    return sent


def _matches(name: str, pattern: str) -> bool:
    """A star does not match what lies in folders."""
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    assert ignored()[0] == "*"
    kept = {rule[1:] for rule in ignored() if rule.startswith("!")}
    copied = {word for copy in named("COPY") if not copy.flags for word in copy.value.split()[:-1]}
    assert kept == copied | {"Dockerfile"}
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.parametrize("name", ["service/app.py", "service/sample/faq.jsonl", "docs/api.md", "pyproject.toml"])
def test_what_the_image_is_made_of_is_sent(name: str) -> None:
    assert is_sent(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "service/__pycache__/app.cpython-311.pyc",
            "service/routes/__pycache__/x",
            "service/app.pyc",
            "service/a/b.pyo",
        ),
        *(".env", "compose/secrets/admin.key", ".git/config", "docs/benchmarks/a.md", "tests/conftest.py"),
    ],
)
def test_secrets_and_what_a_checkout_leaves_behind_are_not_sent(name: str) -> None:
    assert not is_sent(name)


def test_the_lock_of_the_build_names_what_the_project_is_built_with() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = (ROOT / "requirements-build.lock").read_text()
    assert all(f"\n{name}==" in f"\n{locked}" for name in wanted)


def test_secrets_of_the_deployment_are_not_committed() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", ".env", "compose/secrets/admin.key"],  # noqa: S607  # git of the PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == [".env", "compose/secrets/admin.key"]
