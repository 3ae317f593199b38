"""The service works with a Weaviate and a Redis that are configured as compose.yaml says."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from tests.image.test_compose import SERVICES
from tests.tools.running import end, free_port, running_service
from tests.tools.servers import missing, wait_until
from tests.tools.weaviate import RunningNode, weaviate_server

PASSWORD = "0123abcd"


def filled(text: str) -> str:
    """Secrets as `.env` would give them."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", PASSWORD, text)


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    server = shutil.which("redis-server") or missing("redis-server", "make servers")
    port = free_port()
    shell, option, script = SERVICES["redis"]["entrypoint"]
    script = script.replace("$$", "$").replace("redis-server", server)
    script = script.replace("dir /data", f"dir {tmp_path}\nport {port}\nbind 127.0.0.1")
    environment = os.environ | {"REDIS_PASSWORD": PASSWORD}
    process = subprocess.Popen([shell, option, script], env=environment, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password=PASSWORD) as keys:
            wait_until(lambda: pings(keys))
        assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()
        yield port
    finally:
        end(process, 20)


@pytest.fixture
def node() -> Iterator[RunningNode]:
    own = {"PERSISTENCE_DATA_PATH", "CLUSTER_HOSTNAME", "CLUSTER_ADVERTISE_ADDR"}
    environment = {
        name: filled(value) for name, value in SERVICES["weaviate"]["environment"].items() if name not in own
    }
    with weaviate_server(**environment) as running:
        yield running


def pings(keys: redis.Redis) -> bool:
    try:
        return bool(keys.ping())
    except redis.ConnectionError:
        return False


def test_redis_asks_for_its_password_and_never_evicts_what_does_not_expire(redis_port: int) -> None:
    with redis.Redis(port=redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis(port=redis_port, password=PASSWORD, decode_responses=True) as keys:
        assert keys.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        assert keys.config_get("appendonly") == {"appendonly": "yes"}


def test_the_service_imports_and_finds_and_strangers_are_refused(redis_port: int, node: RunningNode) -> None:
    assert httpx.get(f"{node.url}/v1/schema", timeout=60).status_code == 401
    settings = {"weaviate_url": node.url, "weaviate_grpc_address": node.grpc_address, "weaviate_api_key": PASSWORD}
    with running_service(
        store="weaviate", redis_url=f"redis://127.0.0.1:{redis_port}/0", redis_password=PASSWORD, **settings
    ) as service:
        document = {"id": "tea", "text": "Green tea is steeped at 80 degrees."}
        imported = httpx.post(f"{service.url}/collections/documents/documents", json=document, timeout=60)
        assert imported.json()["created"] == 1, imported.text
        found = httpx.post(f"{service.url}/search", json={"query": "how hot is water for tea"}, timeout=60)
        assert [hit["document_id"] for hit in found.json()["hits"]] == ["tea"]
        health = httpx.get(f"{service.url}/health", timeout=60).text
        assert '"up":false' not in health
