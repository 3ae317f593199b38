"""scripts/deploy.sh: what it makes is made once, and its checks tell a service that works from one that does not."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.image.dockerfile import ROOT
from tests.image.test_compose import SERVICES
from tests.tools.keys import bearing, written_key
from tests.tools.nginx import RunningNginx, nginx_before
from tests.tools.running import Running, running_service
from tests.tools.servers import missing

SCRIPT = ROOT / "scripts" / "deploy.sh"
DOCKER = """#!/bin/sh
# Stands in for docker, which cannot run here: makes a key as the container would, and writes down what it was asked.
echo "$* ($CONFIGURATION)" >>asked
case "$*" in
*" keys create "*)
    while [ "$1" != keys ]; do shift; done
    exec {python} -m service "$1" "$2" "$3" "$4" "$5" "$6" "$7" "compose/secrets$8"
    ;;
esac
"""
OPENSSL = """#!/bin/sh
# Stands in for an openssl that has written a key when it fails.
while [ "$1" != -keyout ]; do shift; done
(umask 077 && echo half >"$2")
echo "openssl: no entropy" >&2
exit 1
"""
TLS = Path("compose/secrets/tls")


def deploy(*arguments: str, script: Path = SCRIPT, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(script), *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def curl() -> str:
    return shutil.which("curl") or missing("curl", "the package manager")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "admin.key"
    file.write_text(written_key(file.with_name("keys.json"), "default"))
    return file


@pytest.fixture(scope="module")
def service(key: Path) -> Iterator[Running]:
    with running_service(api_keys_file=str(key.with_name("keys.json"))) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(service: Running) -> Iterator[RunningNginx]:
    with nginx_before([f"127.0.0.1:{service.port}"]) as running:
        yield running


def test_a_service_that_works_passes_the_test_also_over_tls(service: Running, proxy: RunningNginx, key: Path) -> None:
    for url in (service.url, proxy.tls_url):
        done = deploy("test", "--url", url, "--key-file", str(key), CURL_CA_BUNDLE=str(proxy.authority))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("ok  ") == 6


def test_the_status_says_how_the_service_is(service: Running) -> None:
    assert '"up":true' in deploy("status", "--url", service.url).stdout


def test_the_test_leaves_nothing_behind(service: Running, key: Path) -> None:
    deploy("test", "--url", service.url, "--key-file", str(key))
    listed = httpx.get(f"{service.url}/collections", headers=bearing(key.read_text()))
    assert listed.json() == {"collections": []}


def test_caches_are_warmed(service: Running, key: Path) -> None:
    done = deploy("warm", "--url", service.url, RETRIEVAL_CLIENT_API_KEY=key.read_text())
    assert (done.returncode, done.stdout) == (0, "ok  the caches are warm\n"), done.stderr


def test_a_key_that_is_none_and_a_service_that_is_none_fail_the_test(service: Running, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("rk_none")
    refused = deploy("test", "--url", service.url, "--key-file", str(tmp_path / "key"))
    assert refused.returncode == 1
    assert '"status":401' in refused.stderr
    silent = deploy("test", "--url", "http://127.0.0.1:1")
    assert silent.returncode == 1
    assert "the service is ready" in silent.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Usage:"),
        (("--help",), 0, "Usage:"),
        (("depoy",), 2, "depoy is no command"),
        (("deploy", "--now"), 2, "--now is no option"),
        (("test", "--url"), 2, "--url needs a value"),
        (("key", "acme"), 2, "key takes a tenant and scopes"),
        (("warm", "it"), 2, "it is too much"),
        (("test", "--key-file", "/nowhere"), 1, "/nowhere cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = deploy(*arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout as deploy.sh knows it, with a stand-in for docker."""
    for name in ("scripts/deploy.sh", "compose.yaml", ".env.example"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("compose", "charts/retrieval/rules"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("secrets"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER.format(python=sys.executable))
    (tmp_path / "bin" / "docker").chmod(0o755)
    return tmp_path


def deployed(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{checkout}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return deploy(*arguments, script=checkout / "scripts" / "deploy.sh", **environment)


def contents(checkout: Path) -> dict[str, bytes]:
    files = [path for path in checkout.rglob("*") if path.is_file() and path.name != "asked"]
    return {str(path.relative_to(checkout)): path.read_bytes() for path in files}


def test_a_dry_run_tells_all_steps_and_does_none(checkout: Path) -> None:
    before = contents(checkout)
    done = deployed(checkout, "deploy", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "+ docker compose build service" in done.stdout
    assert "+ docker compose up --detach --wait" in done.stdout
    assert contents(checkout) == before
    assert not (checkout / "asked").exists()


def test_what_is_made_is_made_once_and_kept_from_others(checkout: Path) -> None:
    first = deployed(checkout, "deploy")
    assert first.returncode == 0, first.stderr
    made = contents(checkout)
    secrets = checkout / "compose" / "secrets"
    passwords = [line.partition("=")[2] for line in made[".env"].decode().splitlines() if line[:1] not in ("#", "")]
    assert len(set(passwords)) == 3
    assert all(len(password) == 48 for password in passwords)
    assert made["compose/secrets/admin.key"].startswith(b"rk_")
    for closed in (checkout / ".env", secrets / "admin.key"):
        assert stat.S_IMODE(closed.stat().st_mode) == 0o600
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    for mounted in (secrets / "keys" / "keys.json", secrets / "tls" / "tls.key"):
        assert stat.S_IMODE(mounted.stat().st_mode) == 0o644
    second = deployed(checkout, "deploy")
    assert second.returncode == 0, second.stderr
    assert contents(checkout) == made
    assert (checkout / "asked").read_text().count("up --detach --wait") == 2


def configure(checkout: Path, *lines: str) -> None:
    text = (ROOT / ".env.example").read_text()
    (checkout / ".env").write_text(text + "".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("lines", "url"),
    [
        ([], "https://127.0.0.1:8443"),
        (["HTTPS_ADDRESS=0.0.0.0", "HTTPS_PORT=9443"], "https://127.0.0.1:9443"),
        (["HTTPS_ADDRESS=10.1.2.3"], "https://10.1.2.3:8443"),
        (["HTTPS_ADDRESS=[::]"], "https://[::1]:8443"),
        (["HTTPS_ADDRESS='10.1.2.3'", 'HTTPS_PORT="9443"'], "https://10.1.2.3:9443"),
        (["HTTPS_ADDRESS=10.1.2.3\r", 'HTTPS_PORT="9443"\r'], "https://10.1.2.3:9443"),
        (["HTTPS_PORT=9443", "HTTPS_PORT=9444"], "https://127.0.0.1:9444"),
    ],
)
def test_it_is_asked_where_compose_has_it_listen(checkout: Path, lines: list[str], url: str) -> None:
    configure(checkout, *lines)
    assert f"It answers at {url}; " in deployed(checkout, "deploy", "--dry-run").stdout


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], "DNS:localhost, IP Address:127.0.0.1"),
        (["HTTPS_ADDRESS=10.1.2.3"], "DNS:localhost, IP Address:127.0.0.1, IP Address:10.1.2.3"),
        (["HTTPS_ADDRESS=[::1]"], "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"),
    ],
)
def test_the_certificate_is_for_the_address_that_is_listened_on(checkout: Path, lines: list[str], names: str) -> None:
    configure(checkout, *lines)
    done = deployed(checkout, "deploy")
    assert done.returncode == 0, done.stderr
    shown = openssl("x509", "-noout", "-ext", "subjectAltName", "-in", str(checkout / TLS / "tls.crt"))
    assert shown.splitlines()[-1].strip() == names


def test_a_certificate_that_cannot_be_made_is_said_to_be_and_leaves_nothing_that_looks_like_one(checkout: Path) -> None:
    stand_in = checkout / "bin" / "openssl"
    stand_in.write_text(OPENSSL)
    stand_in.chmod(0o755)
    failed = deployed(checkout, "deploy")
    assert failed.returncode == 1
    assert "openssl: no entropy" in failed.stderr
    assert not (checkout / TLS / "tls.key").exists()
    assert not (checkout / TLS / "tls.crt").exists()
    stand_in.unlink()
    done = deployed(checkout, "deploy")
    assert done.returncode == 0, done.stderr
    made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (checkout / TLS).iterdir()}
    assert made == {"tls.crt": 0o644, "tls.key": 0o644}


@pytest.mark.parametrize(("days", "is_told"), [(20, True), (40, False)])
def test_a_certificate_that_runs_out_is_told_of(checkout: Path, days: int, *, is_told: bool) -> None:
    (checkout / TLS).mkdir(parents=True)
    files = ("-keyout", str(checkout / TLS / "tls.key"), "-out", str(checkout / TLS / "tls.crt"))
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", str(days), *files)
    for command in ("deploy", "status"):
        done = deployed(checkout, command, "--dry-run")
        assert done.returncode == 0, done.stderr
        assert ("compose/secrets/tls/tls.crt runs out on " in done.stderr) == is_told


def openssl(*arguments: str) -> str:
    """Return what openssl says."""
    program = shutil.which("openssl") or missing("openssl", "the package manager")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


def test_a_container_whose_configuration_has_changed_is_made_anew(checkout: Path) -> None:
    deployed(checkout, "deploy")
    with (checkout / "compose" / "nginx.conf").open("a") as configuration:
        configuration.write("# changed\n")
    deployed(checkout, "deploy")
    starts = [line for line in (checkout / "asked").read_text().splitlines() if line.startswith("compose up")]
    assert len(set(starts)) == 2


def default_image() -> str:
    return re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", SERVICES["service"]["image"])


def test_a_key_is_made_by_the_image_that_runs(checkout: Path) -> None:
    deployed(checkout, "deploy")
    with (checkout / ".env").open("a") as settings:
        settings.write("RETRIEVAL_IMAGE=registry.example/retrieval:1.2.3\n")
    deployed(checkout, "key", "acme", "search")
    assert " registry.example/retrieval:1.2.3 keys create " in (checkout / "asked").read_text()


def test_another_key_can_be_made(checkout: Path) -> None:
    deployed(checkout, "deploy")
    done = deployed(checkout, "key", "acme", "search")
    assert done.stdout.startswith("rk_"), done.stderr
    asked = (checkout / "asked").read_text().splitlines()[-1]
    assert asked.startswith("run --rm --network none ")  # the service's address is taken while it runs
    assert f" {default_image()} keys create " in asked
    assert '"tenant":"acme"' in (checkout / "compose" / "secrets" / "keys" / "keys.json").read_text().replace(" ", "")
