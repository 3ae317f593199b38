"""What the NetworkPolicy lets in and out."""

import re
from typing import Any

import pytest
import yaml

from scripts.chart.rendering import ENVIRONMENTS, environments, of_kind
from tests.chart.parts import SHARED, Rendered, one, settings


def ports_let_out(objects: list[dict[str, Any]]) -> set[int]:
    """Return the ports that the service may reach, but for those of names and of the release itself."""
    rules = one(objects, "NetworkPolicy")["spec"]["egress"]
    return {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]} - {53, 5353}


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("redis://redis", {6379}),
        ("rediss://user@redis:6380/0", {6380}),
        ("sentinel://one,two:26380/main/0", {26379, 26380, 6379}),
        ("sentinel+tls://one/main?ssl_cert_reqs=none", {26379, 6379}),
        ("rediss+sentinel://one/main", {26379, 6379}),
        ("cluster+tls://one:7000,two", {7000, 6379}),
        ("redis://[fd00::5]", {6379}),
        ("redis://[fd00::5]:6380/1", {6380}),
    ],
)
def test_the_ports_of_redis_are_those_of_its_address_or_of_its_kind(
    rendered: Rendered, url: str, ports: set[int]
) -> None:
    objects = rendered(values=SHARED | {"redis": {"url": url}})
    assert ports_let_out(objects) - {8080, 50051} == ports


@pytest.mark.parametrize(
    ("url", "grpc", "ports"),
    [
        ("http://one:8080,http://two:8081", "one:50051,two:50052", {8080, 8081, 50051, 50052}),
        ("https://weaviate.example.com/v", "weaviate.example.com:443", {443}),
        ("http://[fd00::7]", "[fd00::7]:50051", {80, 50051}),
    ],
)
def test_the_ports_of_weaviate_are_those_of_its_addresses(
    rendered: Rendered, url: str, grpc: str, ports: set[int]
) -> None:
    objects = rendered(values=SHARED | {"weaviate": {"url": url, "grpcAddress": grpc}})
    assert ports_let_out(objects) - {6379} == ports


@pytest.mark.parametrize("environment", environments())
def test_addresses_in_the_cluster_lead_to_pods_whose_ports_are_what_networks_check(
    rendered: Rendered, environment: str
) -> None:
    given = settings(rendered(environment))
    addresses = [given[f"RETRIEVAL_{name}"] for name in ("REDIS_URL", "WEAVIATE_URL", "WEAVIATE_GRPC_ADDRESS")]
    hosts = re.findall(r"[a-z0-9.-]+\.svc(?=:)", ",".join(addresses))
    assert bool(hosts) == (environment != "dev")
    for host in hosts:  # of a pod, or of a Service without a port of its own
        assert host.count(".") == 3 or host.partition(".")[0].endswith("-headless"), host


def test_names_are_asked_also_where_the_pods_of_dns_listen_on_5353(rendered: Rendered) -> None:
    for policy in of_kind(rendered("dev"), "NetworkPolicy"):
        asked = [port for rule in policy["spec"].get("egress", []) if "to" not in rule for port in rule["ports"]]
        for protocol in ("UDP", "TCP"):
            assert not asked or {"port": 5353, "protocol": protocol} in asked, policy["metadata"]["name"]


@pytest.mark.parametrize("environment", environments())
def test_whoever_comes_by_a_port_of_the_node_is_let_in(rendered: Rendered, environment: str) -> None:
    objects = rendered(environment)
    is_on_nodes = one(objects, "Service")["spec"]["type"] != "ClusterIP"
    (rule,) = one(objects, "NetworkPolicy")["spec"]["ingress"]
    assert any("ipBlock" in peer for peer in rule["from"]) == is_on_nodes


def test_the_port_that_development_opens_to_all_is_shown_on_the_machine_alone() -> None:
    kind = yaml.safe_load((ENVIRONMENTS.parent / "kind.yaml").read_text())
    mappings = [mapping for node in kind["nodes"] for mapping in node["extraPortMappings"]]
    assert {mapping["listenAddress"] for mapping in mappings} == {"127.0.0.1"}
