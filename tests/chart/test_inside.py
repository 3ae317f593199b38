"""The Redis and the Weaviate of a release, and the pods of `helm test`, run for real with what the chart says."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.chart.rendering import ENVIRONMENTS, Object, of_kind
from tests.chart.parts import Rendered, pod_specs, secret_text
from tests.chart.test_notes import installation_notes
from tests.tools.programs import WEAVIATE
from tests.tools.running import Running, free_port, running_service
from tests.tools.servers import RunningRedis, missing
from tests.tools.weaviate import bare_settings_of, weaviate_server


@pytest.fixture(scope="module")
def release(rendered: Rendered) -> list[Object]:
    return rendered("dev")


@pytest.fixture(scope="module")
def service(release: list[Object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with the release's file of keys, Redis and Weaviate."""
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    keys.write_text(secret_text(release, "retrieval-generated-api-keys", "keys.json"))
    password = secret_text(release, "retrieval-generated-redis", "redis-password")
    weaviate_key = secret_text(release, "retrieval-generated-weaviate", "weaviate-api-key")
    known = {"AUTHENTICATION_APIKEY_ALLOWED_KEYS": weaviate_key}
    environment = {one["name"]: one["value"] for one in container(release, "weaviate")["env"] if "value" in one}
    with redis_of(release, password) as redis, weaviate_server(**environment, **known) as node:
        secrets = {"weaviate_api_key": weaviate_key, "redis_password": password, "api_keys_file": str(keys)}
        with running_service(**bare_settings_of(node), **secrets, redis_url=redis.url) as running:
            yield running


@contextmanager
def redis_of(release: list[Object], password: str) -> Iterator[RunningRedis]:
    """Run what the container of Redis would, on a free port."""
    found, port = container(release, "redis"), free_port()
    (script,) = found["args"]
    here = script.replace("redis-server -", f"redis-server - --bind 127.0.0.1 --port {port}")
    (variable,) = (every["name"] for every in found["env"])
    known = ["env", f"{variable}={password}"]
    with tempfile.TemporaryDirectory() as directory:
        url = f"redis://127.0.0.1:{port}/0"
        client = [*known, "redis-cli", "-p", str(port)]
        server = RunningRedis([*known, *found["command"], here], port, client, url, Path(directory))
        try:
            yield server
        finally:
            server.kill()


def container(release: list[Object], name: str) -> Any:
    """Return the container of a server of the release."""
    (found,) = pod_specs(release)[f"retrieval-{name}"]["containers"]
    return found


def run(release: list[Object], pod: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what a pod of `helm test` would."""
    (found,) = pod_specs(release)[f"retrieval-{pod}"]["containers"]
    assert found["command"] == ["python", "-c"]
    return subprocess.run(
        [sys.executable, "-c", *found["args"]],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_helm_test_passes_where_a_document_is_found(release: list[Object], service: Running) -> None:
    key = secret_text(release, "retrieval-generated-admin-key", "admin-key")
    health, search = (
        run(release, "check-health", URL=service.url),
        run(release, "check-search", URL=service.url, KEY=key),
    )
    assert (health.returncode, search.returncode) == (0, 0), health.stderr + search.stderr
    assert "Owls hunt at night." in search.stdout


def test_helm_test_fails_where_the_key_does_not_open(release: list[Object], service: Running) -> None:
    assert "401" in run(release, "check-search", URL=service.url, KEY="rk_admin_wrong").stderr


def test_helm_test_fails_where_anybody_may_search(release: list[Object]) -> None:
    with running_service() as open_to_all:
        assert "expected 200 and 401" in run(release, "check-health", URL=open_to_all.url).stderr


@pytest.mark.parametrize("password", ["plain", """with space, "quotes" 'of' both kinds, \\ and $HOME"""])
def test_the_redis_inside_is_bounded_and_its_password_is_on_no_command_line(
    release: list[Object], password: str
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis-server", "make servers")
    with redis_of(release, password) as redis:
        assert redis.say("CONFIG", "GET", "maxmemory").split() == ["maxmemory", str(256 * 2**20)]
        assert redis.say("CONFIG", "GET", "maxmemory-policy").split()[1] == "volatile-lru"
        assert redis.say("--no-auth-warning", "-a", "wrong", "PING").endswith("NOAUTH Authentication required.")
        words = Path(f"/proc/{redis.process.pid}/cmdline").read_text()
        assert "redis-server" in words
        assert password not in words


def test_the_pods_of_helm_test_are_hooks_and_use_the_products_own_image(release: list[Object]) -> None:
    pods = of_kind(release, "Pod")
    images = {found["image"] for pod in pods for found in pod["spec"]["containers"]}
    assert {pod["metadata"]["annotations"]["helm.sh/hook"] for pod in pods} == {"test"}
    assert images == {"retrieval-service:dev"}


def test_the_versions_inside_are_those_that_are_tested(release: list[Object]) -> None:
    version = container(release, "weaviate")["image"].rpartition(":")[2]
    assert WEAVIATE.parent.name == f"weaviate-{version}"


def test_the_addresses_that_the_service_gets_are_those_of_the_services(release: list[Object]) -> None:
    settings = next(found["data"] for found in release if found["metadata"]["name"] == "retrieval-settings")
    ports = {
        f"{service['metadata']['name']}:{port['port']}"
        for service in of_kind(release, "Service")
        for port in service["spec"]["ports"]
    }
    assert settings["RETRIEVAL_WEAVIATE_GRPC_ADDRESS"] in ports
    assert settings["RETRIEVAL_WEAVIATE_URL"].removeprefix("http://") in ports
    assert settings["RETRIEVAL_REDIS_URL"].removeprefix("redis://").removesuffix("/0") in ports


def test_the_scripts_need_nothing_but_python(release: list[Object]) -> None:
    for pod in of_kind(release, "Pod"):
        source = pod["spec"]["containers"][0]["args"][0]
        imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
        assert imported <= sys.stdlib_module_names


def test_the_first_steps_of_the_notes_work_as_they_stand(release: list[Object], service: Running) -> None:
    notes = installation_notes("--values", str(ENVIRONMENTS / "dev.yaml"))
    (step,) = re.findall(r"^3\. .*\n\n((?: {5}.*\n)+)", notes, re.MULTILINE)
    key = secret_text(release, "retrieval-generated-admin-key", "admin-key")
    answer = subprocess.run(
        ["bash", "-c", step],  # noqa: S607  # as whoever installs it types it
        env=os.environ | {"URL": service.url, "KEY": key},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert '"text":"Owls hunt at night."' in answer
