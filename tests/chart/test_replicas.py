"""How many pods there are, who decides, and how many may be away."""

from typing import Any

import pytest

from scripts.chart.rendering import RefusedValues, of_kind
from tests.chart.parts import SHARED, Rendered, one, server

SCALED: dict[str, Any] = SHARED | {"autoscaling": {"enabled": True}}
BY_KEDA: dict[str, Any] = SHARED | {"keda": {"enabled": True}}
BEHAVIOUR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 60,
        "selectPolicy": "Min",
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 60},
            {"type": "Pods", "value": 2, "periodSeconds": 60},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Min",
        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
    },
}


def test_the_number_of_pods_is_left_to_whoever_scales_them(rendered: Rendered) -> None:
    assert one(rendered(values=SHARED | {"replicaCount": 2}), "Deployment")["spec"]["replicas"] == 2
    for values in (SCALED, BY_KEDA):
        assert "replicas" not in one(rendered(values=values), "Deployment")["spec"]


def test_the_autoscaler_goes_from_three_to_ten_by_processor_memory_and_requests(rendered: Rendered) -> None:
    spec = one(rendered("production"), "HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    assert spec["behavior"] == BEHAVIOUR
    assert spec["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 75}}},
        {
            "type": "Resource",
            "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
        },
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "active_connections"},
                "target": {"type": "AverageValue", "averageValue": "100"},
            },
        },
    ]


def test_without_an_adapter_processor_and_memory_scale_alone(rendered: Rendered) -> None:
    values = SHARED | {"autoscaling": {"enabled": True, "activeConnections": 0}}
    metrics = one(rendered(values=values), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [metric["type"] for metric in metrics] == ["Resource", "Resource"]


def test_keda_scales_by_the_same_numbers(rendered: Rendered) -> None:
    objects = rendered(values=BY_KEDA)
    spec = one(objects, "ScaledObject")["spec"]
    assert not of_kind(objects, "HorizontalPodAutoscaler")
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (3, 10)
    config = spec["advanced"]["horizontalPodAutoscalerConfig"]
    assert (config["name"], config["behavior"]) == ("retrieval", BEHAVIOUR)
    found = {trigger["type"]: trigger["metadata"] for trigger in spec["triggers"]}
    assert (found["cpu"], found["memory"]) == ({"value": "75"}, {"value": "80"})
    assert found["prometheus"]["threshold"] == "100"
    assert found["prometheus"]["query"] == 'sum(active_connections{namespace="default",service="retrieval"})'


@pytest.mark.parametrize(
    ("values", "is_kept"),
    [
        ({}, False),
        (SHARED, False),
        (SHARED | {"replicaCount": 2}, True),
        (SCALED, True),
        (SHARED | {"autoscaling": {"enabled": True, "minReplicas": 1}}, False),
        (SHARED | {"autoscaling": {"enabled": True, "minReplicas": 1}, "replicaCount": 3}, False),
        (BY_KEDA, True),
        (SCALED | {"podDisruptionBudget": {"enabled": False}}, False),
    ],
)
def test_a_budget_keeps_pods_only_where_the_fewest_are_more_than_one(
    rendered: Rendered, values: dict[str, Any], *, is_kept: bool
) -> None:
    budgets = of_kind(rendered(values=values), "PodDisruptionBudget")
    assert [budget["spec"]["maxUnavailable"] for budget in budgets] == [1] * is_kept


def test_the_vertical_autoscaler_recommends_and_changes_nothing(rendered: Rendered) -> None:
    values = SCALED | {"verticalPodAutoscaler": {"enabled": True}}
    assert one(rendered(values=values), "VerticalPodAutoscaler")["spec"]["updatePolicy"] == {"updateMode": "Off"}


def test_the_embedded_store_has_one_pod_that_goes_before_the_next_comes_and_a_volume_that_stays(
    rendered: Rendered,
) -> None:
    objects = rendered()
    deployment = one(objects, "Deployment")["spec"]
    claim = one(objects, "PersistentVolumeClaim", "retrieval-data")
    volumes = {volume["name"]: volume for volume in server(objects)["volumes"]}
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "retrieval-data"}
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_volume_that_exists_is_used_and_not_made(rendered: Rendered) -> None:
    def made(claim: str) -> list[str]:
        objects = rendered(values={"persistence": {"existingClaim": claim, "keepAtUninstall": False}})
        (data,) = (volume for volume in server(objects)["volumes"] if volume["name"] == "data")
        assert data["persistentVolumeClaim"] == {"claimName": claim or "retrieval-data"}
        return [found["metadata"]["name"] for found in of_kind(objects, "PersistentVolumeClaim")]

    assert made("") == ["retrieval-data"]
    assert made("retrieval-data") == []  # who does not look into the cluster cannot know whose it is
    assert made("documents-of-before") == []


def test_a_shared_store_needs_no_volume_and_no_pod_goes_before_the_next_has_come(rendered: Rendered) -> None:
    objects = rendered(values=SHARED)
    assert not of_kind(objects, "PersistentVolumeClaim")
    assert one(objects, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_quota_of_production_has_room_for_all_pods_and_one_more(rendered: Rendered) -> None:
    objects = rendered("production")
    hard = one(objects, "ResourceQuota")["spec"]["hard"]
    (container,) = server(objects)["containers"]
    pods = one(objects, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] + 1
    assert int(hard["pods"]) > pods
    with pytest.raises(RefusedValues, match="there may be 18 pods of the service and 3 more"):
        rendered("production", {"autoscaling": {"maxReplicas": 18}})
    for side in ("requests", "limits"):
        for kind in ("cpu", "memory"):
            assert _amount(hard[f"{side}.{kind}"]) >= pods * _amount(container["resources"][side][kind])


def _amount(quantity: str) -> float:
    factors = {"m": 0.001, "Mi": 2**20, "Gi": 2**30}
    unit = next((unit for unit in ("Mi", "Gi", "m") if quantity.endswith(unit)), "")
    return float(quantity.removesuffix(unit)) * factors.get(unit, 1)


def test_fewest_pods_are_not_more_than_most(rendered: Rendered) -> None:
    with pytest.raises(RefusedValues, match="minReplicas is larger than"):
        rendered(values=SHARED | {"autoscaling": {"enabled": True, "minReplicas": 11}})
