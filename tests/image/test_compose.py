"""compose.yaml keeps what docs/deployment.md promises, and the programs that it configures accept that."""

import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.nginx.__main__ import COMMAND, COMPOSED
from scripts.nginx.rendering import MOST_HELD, render
from scripts.nginx.settings import Place, load_ingress
from service.settings import load_settings
from tests.image.dockerfile import ROOT
from tests.tools.nginx import command_for
from tests.tools.servers import certificates, missing

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "charts" / "retrieval" / "values.yaml").read_text())
LIMITS = {
    "service": ("2", "2G"),
    "redis": ("1", "1G"),
    "prometheus": ("0.5", "512M"),
    "grafana": ("0.5", "256M"),
}
each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_every_image_has_a_tag_of_one_release(name: str) -> None:
    image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", SERVICES[name]["image"])
    assert re.search(r":v?\d+\.\d+\.\d+(-alpine)?$", image), image


@pytest.mark.parametrize("name", ["redis", "weaviate"])
def test_images_are_those_of_the_chart(name: str) -> None:
    image = VALUES[name]["image"]
    assert SERVICES[name]["image"] == f"{image['repository']}:{image['tag']}"


@each_service
def test_every_container_is_bounded(name: str) -> None:
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= limits.keys()
    assert (limits["cpus"], limits["memory"]) == LIMITS.get(name, (limits["cpus"], limits["memory"]))
    assert "max-size" in SERVICES[name]["logging"]["options"]


@each_service
def test_every_container_has_few_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "network_mode", "pid"} & service.keys()
    in_image = {"service", "weaviate"}  # ours has a user, and Weaviate's has none but root
    assert name in in_image or not service["user"].startswith("0")


@each_service
def test_every_container_says_how_it_is_and_nobody_starts_before_what_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert name == "service" or service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}  # ours stands in the image
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


def test_only_the_proxy_is_published_and_the_rest_is_of_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"nginx", "grafana"}
    beyond = [port for ports in published.values() for port in ports if not port.startswith("127.0.0.1:")]
    assert beyond == ["${HTTPS_ADDRESS:-0.0.0.0}:${HTTPS_PORT:-8443}:8443"]


def test_stores_are_reached_by_the_service_alone() -> None:
    assert COMPOSE["networks"]["back"]["internal"] is True
    assert SERVICES["redis"]["networks"] == SERVICES["weaviate"]["networks"] == ["back"]
    assert {name for name, service in SERVICES.items() if "back" in service["networks"]} == {
        "service",
        "redis",
        "weaviate",
    }


def test_passwords_have_no_default_and_stand_in_the_example() -> None:
    text = (ROOT / "compose.yaml").read_text()
    secret = {name for name in re.findall(r"\$\{(\w+)", text) if re.search("PASSWORD|API_KEY", name)}
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert secret == required
    example = (ROOT / ".env.example").read_text()
    assert {line.removesuffix("=") for line in example.splitlines() if line.endswith("=")} == required
    assert set(re.findall(r"\$\{(\w+):-", text)) - {"REVISION", "CONFIGURATION"} == set(
        re.findall(r"^#(\w+)=", example, re.MULTILINE)
    )


def test_the_service_knows_all_its_settings() -> None:
    given = {
        name: re.sub(r"\$\{.*?(?::-(.*?))?\}", r"\1", value)
        for name, value in SERVICES["service"]["environment"].items()
    }
    settings, warnings = load_settings(given)
    assert not warnings
    assert settings.store == "weaviate"


def test_volumes_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./compose/secrets/"):
                continue  # made by scripts/deploy.sh
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_the_proxys_configuration_is_what_the_charts_values_say() -> None:
    expected = render(load_ingress(), COMPOSED, Place(), COMMAND)
    assert (ROOT / "compose" / "nginx.conf").read_text() == expected, f"run {COMMAND}"


def test_the_proxy_knows_where_the_service_is() -> None:
    address = SERVICES["service"]["networks"]["front"]["ipv4_address"]
    (network,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert list(COMPOSED) == [f"{address}:8000"]
    assert ipaddress.ip_address(address) in ipaddress.ip_network(network["subnet"])


def test_bodies_that_the_proxy_holds_fit_into_the_room_for_them_and_this_into_its_memory() -> None:
    configuration = (ROOT / "compose" / "nginx.conf").read_text()
    memory = int(SERVICES["nginx"]["deploy"]["resources"]["limits"]["memory"].removesuffix("M"))
    (room,) = [int(size) for size in re.findall(r"^/tmp:size=(\d+)m", SERVICES["nginx"]["tmpfs"][0])]
    (pages,) = [int(size) for size in re.findall(r"max_size=(\d+)m", configuration)]
    assert pages + MOST_HELD * 10 <= room <= memory / 2  # JSON has at most 10 MB
    assert "proxy_max_temp_file_size 0;" in configuration


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    certificates(tmp_path)
    text = (ROOT / "compose" / "nginx.conf").read_text()
    configuration = tmp_path / "nginx.conf"
    text = text.replace("/tmp/", f"{tmp_path}/")  # noqa: S108  # of the container
    configuration.write_text(text.replace("/run/tls/tls.", f"{tmp_path}/server."))
    done = subprocess.run([*command_for(configuration), "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_prometheus_accepts_its_configuration_and_the_rules(tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or missing("promtool", "make servers")
    shutil.copy(ROOT / "compose" / "prometheus.yaml", tmp_path)
    shutil.copytree(ROOT / "charts" / "retrieval" / "rules", tmp_path / "rules")
    done = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"rules found", done.stdout)) == len([*(tmp_path / "rules").iterdir()])


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    provisioning = ROOT / "compose" / "grafana"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "retrieval.yaml").read_text())["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert source["url"] == "http://prometheus:9090"
    assert mounted["./charts/retrieval/dashboards"] == provider["options"]["path"]
    assert mounted["./compose/grafana"] == "/etc/grafana/provisioning"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / "charts" / "retrieval" / "dashboards" / home.name).exists()
