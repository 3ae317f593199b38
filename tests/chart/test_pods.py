"""Whatever is installed: no pod may do more than it must, and nothing selects another release's pods."""

from typing import Any

import pytest

from scripts.chart.rendering import environments, of_kind
from tests.chart.parts import SHARED, Rendered, containers, pod_specs, selectors, server

EVERYWHERE = pytest.mark.parametrize("environment", ["", *environments()])


@EVERYWHERE
def test_every_container_is_restricted(rendered: Rendered, environment: str) -> None:
    for name, container in containers(rendered(environment)):
        context = container["securityContext"]
        assert context["runAsNonRoot"], name
        assert context["readOnlyRootFilesystem"], name
        assert not context["allowPrivilegeEscalation"], name
        assert context["capabilities"] == {"drop": ["ALL"]}, name


@EVERYWHERE
def test_every_pod_is_bounded_and_has_no_token(rendered: Rendered, environment: str) -> None:
    for name, spec in pod_specs(rendered(environment)).items():
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for volume in spec.get("volumes", []):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], (name, volume)


@EVERYWHERE
def test_every_container_asks_for_what_it_needs_and_is_pinned(rendered: Rendered, environment: str) -> None:
    for name, container in containers(rendered(environment)):
        for side in ("requests", "limits"):
            assert container["resources"][side].keys() == {"cpu", "memory", "ephemeral-storage"}, name
        assert container["image"].rpartition(":")[2] not in ("", "latest"), name


@EVERYWHERE
def test_every_selector_names_the_release(rendered: Rendered, environment: str) -> None:
    for found in rendered(environment):
        for labels in selectors(found.get("spec")):
            assert labels.get("app.kubernetes.io/instance") == "retrieval", found["metadata"]


@EVERYWHERE
def test_every_pod_stands_behind_a_network_policy_for_both_ways(rendered: Rendered, environment: str) -> None:
    objects = rendered(environment)
    policies = [policy["spec"] for policy in of_kind(objects, "NetworkPolicy")]
    guarded = [policy["podSelector"]["matchLabels"] for policy in policies]
    labelled = [found["spec"]["template"]["metadata"]["labels"] for found in of_kind(objects, "Deployment")]
    labelled += [found["metadata"]["labels"] for found in of_kind(objects, "Pod")]
    assert all(any(chosen.items() <= labels.items() for chosen in guarded) for labels in labelled)
    assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in policies)


@EVERYWHERE
def test_the_namespace_is_the_installers_choice(rendered: Rendered, environment: str) -> None:
    assert not [found for found in rendered(environment) if "namespace" in found["metadata"]]


def test_the_service_is_asked_for_its_life_and_its_readiness_apart(rendered: Rendered) -> None:
    (container,) = server(rendered())["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert asked == {"startup": "/health/live", "readiness": "/health/ready", "liveness": "/health/live"}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 300


@pytest.mark.parametrize(
    ("values", "grace_seconds"),
    [
        ({}, 32),
        ({"settings": {"request_deadline_seconds": 30}}, 52),
        ({"settings": {"drain_seconds": 4.5}}, 35),
        ({"settings": {"drain_seconds": 0}}, 30),
        ({"drain": {"preStopSeconds": 20}}, 47),
        ({"terminationGracePeriodSeconds": 120}, 120),
    ],
)
def test_a_pod_has_time_to_stop(rendered: Rendered, values: dict[str, Any], grace_seconds: int) -> None:
    spec = server(rendered(values=values))
    assert spec["terminationGracePeriodSeconds"] == grace_seconds
    slept = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert slept == values.get("drain", {"preStopSeconds": 5})["preStopSeconds"]


def test_pods_that_share_a_store_are_spread_and_do_not_count_those_they_replace(rendered: Rendered) -> None:
    spread = server(rendered(values=SHARED))["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert all(one["matchLabelKeys"] == ["pod-template-hash"] for one in spread)


@EVERYWHERE
def test_a_full_node_or_zone_does_not_bound_how_many_pods_the_others_run(rendered: Rendered, environment: str) -> None:
    spread = server(rendered(environment)).get("topologySpreadConstraints", [])
    assert all(one["whenUnsatisfiable"] == "ScheduleAnyway" for one in spread)


def test_whatever_pod_is_made_finds_its_image_and_the_nodes_that_are_meant(rendered: Rendered) -> None:
    where: dict[str, Any] = {"nodeSelector": {"pool": "search"}, "tolerations": [{"key": "pool", "value": "search"}]}
    secrets = [{"name": "registry"}]
    pods = pod_specs(rendered("dev", where | {"image": {"pullSecrets": secrets}}))
    assert {"retrieval-redis", "retrieval-weaviate", "retrieval-check-search"} < pods.keys()
    for name, spec in pods.items():
        assert {key: spec.get(key) for key in where} == where, name
        assert spec["imagePullSecrets"] == secrets, name


def test_a_changed_setting_starts_new_pods_and_nothing_else_does(rendered: Rendered) -> None:
    def checksum(values: dict[str, object]) -> str:
        (deployment,) = of_kind(rendered(values=values), "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert checksum({}) == checksum({"service": {"port": 8080}})  # though each rendering makes new keys
    assert checksum({}) != checksum({"settings": {"log_level": "debug"}})


def test_more_can_be_mounted_and_told(rendered: Rendered) -> None:
    values: dict[str, Any] = {
        "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
        "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority"}],
        "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    }
    spec = server(rendered(values=values))
    (container,) = spec["containers"]
    assert values["extraVolumes"][0] in spec["volumes"]
    assert values["extraVolumeMounts"][0] in container["volumeMounts"]
    assert container["env"] == values["extraEnv"]


def test_names_that_look_like_numbers_or_truths_stay_names(rendered: Rendered) -> None:
    names = {"nameOverride": "123", "fullnameOverride": "true", "priorityClassName": "1", "redis": {"enabled": True}}
    objects = rendered(values=SHARED | names)
    texts = [text for found in objects for text in names_of(found)]
    assert {"true", "123", "1"} <= {*map(str, texts)}
    assert not [text for text in texts if not isinstance(text, str)]


def names_of(value: Any) -> list[Any]:
    """Return whatever stands in an object under a label, or where it is named."""
    if isinstance(value, list):
        return [name for every in value for name in names_of(every)]
    if not isinstance(value, dict):
        return []
    own = [
        every for key, every in value.items() if key.lower().endswith("name") or key.startswith("app.kubernetes.io/")
    ]
    return [name for name in own if not isinstance(name, dict)] + [
        n for every in value.values() for n in names_of(every)
    ]


def test_weaviate_collects_by_its_request_of_memory_and_as_go_does_where_there_is_none(rendered: Rendered) -> None:
    def variables(resources: dict[str, Any]) -> set[str]:
        inside = {"weaviate": {"enabled": True, "resources": resources}, "redis": {"enabled": True}}
        objects = rendered(values={"settings": {"store": "weaviate"}} | inside)
        (container,) = pod_specs(objects)["retrieval-weaviate"]["containers"]
        return {variable["name"] for variable in container["env"]}

    assert "GOMEMLIMIT" in variables({})
    assert "GOMEMLIMIT" not in variables({"requests": {"memory": None}})
    assert "GOMEMLIMIT" not in variables({"requests": None})


def test_the_image_can_be_pinned_by_its_digest(rendered: Rendered) -> None:
    digest = f"sha256:{'a' * 64}"
    image = {"repository": "registry.example.com/retrieval", "tag": "1.2.3", "digest": digest}
    found = {container["image"] for _, container in containers(rendered(values={"image": image}))}
    assert found == {f"registry.example.com/retrieval:1.2.3@{digest}"}
