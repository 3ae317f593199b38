"""What helm tells whoever installs the chart: the first steps, and what will not work as it stands."""

import subprocess

import pytest

from scripts.chart.rendering import ENVIRONMENTS, RELEASE, environments
from scripts.chart.schema import CHART
from tests.tools.programs import HELM

pytestmark = pytest.mark.usefixtures("rendered")
SHARED = (
    "settings.store=weaviate,weaviate.url=http://weaviate:8080,weaviate.grpcAddress=weaviate:50051"
    ",redis.url=redis://redis"
)
INSIDE = "networkPolicy.fromNamespaces[0]=monitoring"
KEPT_OUT = "Prometheus is let in from this namespace alone"
UNREAD = "nothing here lets Prometheus read them"
NO_CLIENTS = "name them in networkPolicy.from, or most networks refuse them"


def installation_notes(*arguments: str) -> str:
    """Return the notes of an installation."""
    command = [str(HELM), "install", RELEASE, str(CHART), "--namespace=some", "--dry-run=client", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return said.partition("NOTES:\n")[2]


@pytest.mark.parametrize("environment", ["dev", "production"])
def test_the_notes_say_where_the_key_is(environment: str) -> None:
    notes = installation_notes("--values", str(ENVIRONMENTS / f"{environment}.yaml"))
    secret = "retrieval-generated-admin-key" if environment == "dev" else "retrieval-api-keys"
    assert f"secret {secret}" in notes


def test_the_notes_know_the_host_of_a_gateway() -> None:
    gateway = "gateway.enabled=true,gateway.parentRefs[0].name=edge,gateway.hostnames[0]=search.example.com"
    notes = installation_notes("--set", f"{gateway},networkPolicy.fromNamespaces[0]=gateways")
    assert "URL=https://search.example.com" in notes
    assert "port-forward" not in notes


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("", set()),
        ("serviceMonitor.enabled=true", {KEPT_OUT}),
        (f"serviceMonitor.enabled=true,{INSIDE}", set()),
        ("serviceMonitor.enabled=true,networkPolicy.enabled=false", set()),
        (f"{SHARED},keda.enabled=true", {KEPT_OUT, UNREAD}),
        (f"{SHARED},keda.enabled=true,{INSIDE}", {UNREAD}),
        (f"{SHARED},autoscaling.enabled=true,{INSIDE}", {UNREAD}),
        (f"{SHARED},autoscaling.enabled=true,autoscaling.activeConnections=0", set()),
        ("service.type=LoadBalancer", {NO_CLIENTS}),
        (f"service.type=NodePort,{INSIDE}", {NO_CLIENTS}),
        ("service.type=NodePort,networkPolicy.from[0].ipBlock.cidr=10.0.0.0/8", set()),
    ],
)
def test_the_notes_warn_of_what_the_network_or_nobody_will_carry(values: str, said: set[str]) -> None:
    notes = " ".join(installation_notes("--set", values).split())
    assert {words for words in (KEPT_OUT, UNREAD, NO_CLIENTS) if words in notes} == said
    assert notes.count("WARNING") == len(said)


@pytest.mark.parametrize("environment", environments())
def test_no_environment_is_warned_of_anything(environment: str) -> None:
    assert "WARNING" not in installation_notes("--values", str(ENVIRONMENTS / f"{environment}.yaml"))


def test_the_notes_say_which_volume_stays() -> None:
    stays = "`helm uninstall` leaves it"
    assert stays in installation_notes()
    assert stays not in installation_notes("--set=persistence.existingClaim=retrieval-data")
    assert stays not in installation_notes("--set=persistence.keepAtUninstall=false")
    assert stays not in installation_notes("--set=persistence.existingClaim=mine")
