"""What values.schema.json lets pass, and what it says to what it does not."""

from typing import Any

import msgspec
import pytest
import yaml

from scripts.chart.rendering import ENVIRONMENTS, RefusedValues, environments
from scripts.chart.schema import CHART, OF_THE_CHART
from service.caches.redis.urls import SCHEMES, read_url
from service.settings import Settings, load_settings
from tests.chart.parts import SHARED, Rendered, one, server, settings

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
INSIDE = {"weaviate": {"enabled": True}, "redis": {"enabled": True}, "settings": {"store": "weaviate"}}
BOUNDED: dict[str, Any] = {"limitRange": {"enabled": True}}
UNBOUNDED = {"enabled": True, "resources": {"limits": {"memory": None}}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicaCuont": 1}, "'replicaCuont' not allowed"),
        ({"settings": {"log_levle": "info"}}, "'log_levle' not allowed"),
        ({"settings": {"log_level": "loud"}}, "/settings/log_level"),
        ({"settings": {"cache_memory_mb": 0}}, "/settings/cache_memory_mb"),
        ({"settings": {"redis_password": "secret"}}, "'redis_password' not allowed"),
        ({"ingress": {"rateLimit": {"requestsPerMinut": 1}}}, "'requestsPerMinut' not allowed"),
        ({"ingress": {"controller": "apache"}}, "/ingress/controller"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"redis": {"url": "redis://:password@redis:6379"}}, "/redis/url"),
        ({"redis": {"url": "redis://user:password@redis:6379"}}, "/redis/url"),
        ({"redis": {"url": "redis://redis:6379?password=secret"}}, "/redis/url"),
        ({"redis": {"url": "sentinel://one,two/main?sentinel_password=secret"}}, "/redis/url"),
        ({"redis": {"url": "sentinel+tls://one/main?ssl_cert_reqs=none&sentinel_password=secret"}}, "/redis/url"),
        ({"settings": None}, "missing property 'settings'"),
        ({"image": None}, "missing property 'image'"),
        ({"ingress": {"rateLimit": None}}, "/ingress.*missing property 'rateLimit'"),
        ({"podLabels": {"app.kubernetes.io/name": "other"}}, "/podLabels"),
        ({"resourceQuota": {"enabled": True, "hard": {"pods": "3"}}}, "there may be 1 pods of the service and 3 more"),
        ({"fullnameOverride": "2024"}, "2024 cannot be the name of a Service"),
        ({"service": {"nodePort": 30080}}, "/service/type"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "/podDisruptionBudget/maxUnavailable"),
        ({"replicaCount": 2}, "/replicaCount.*value must be 1"),
        ({"autoscaling": {"enabled": True}}, "/autoscaling/enabled.*value must be false"),
        ({"keda": {"enabled": True}}, "/keda/enabled.*value must be false"),
        ({"persistence": {"enabled": False}}, "/persistence/enabled.*value must be true"),
        ({"settings": {"store": "weaviate"}}, "/weaviate/url"),
        (SHARED | {"redis": {}}, "/redis/url"),
        (INSIDE | {"redis": {"enabled": True, "url": "redis://a"}}, "/redis/url"),
        ({"weaviate": {"enabled": True}}, "/settings/store"),
        (SHARED | {"autoscaling": {"enabled": True}, "keda": {"enabled": True}}, "/autoscaling/enabled"),
        (
            SHARED
            | {"autoscaling": {"enabled": True}, "verticalPodAutoscaler": {"enabled": True, "updateMode": "Recreate"}},
            "/verticalPodAutoscaler/updateMode",
        ),
        ({"ingress": {"enabled": True}}, "/ingress/host"),
        ({"gateway": {"enabled": True}}, "/gateway/parentRefs"),
        ({"terminationGracePeriodSeconds": 20}, "the pod may need 32 s to stop"),
        ({"serviceMonitor": {"enabled": True}, "settings": {"metrics_enabled": False}}, "serviceMonitor.enabled needs"),
        (BOUNDED | {"resources": {"limits": {"cpu": None}}}, "would give 500m: set limitRange.default.cpu=null too"),
        (BOUNDED | {"resources": {"limits": None}}, "^.*resources.limits has no cpu"),
        (BOUNDED | INSIDE | {"redis": UNBOUNDED}, "redis.resources.limits has no memory"),
        (BOUNDED | INSIDE | {"weaviate": UNBOUNDED}, "weaviate.resources.limits has no memory"),
        (
            {"resourceQuota": {"enabled": True}, "resources": {"limits": {"cpu": None}}},
            r"no cpu, and the quota refuses pods without: set resourceQuota\.hard\.limits\\\.cpu=null too",
        ),
    ],
)
def test_what_is_misspelt_or_does_not_go_together_is_refused_by_name(
    rendered: Rendered, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(RefusedValues, match=said):
        rendered(values=values)


def test_a_limit_can_be_taken_away_in_all_places_together(rendered: Rendered) -> None:
    without = {"cpu": None}
    bounds = {"limitRange": {"default": without}, "resourceQuota": {"hard": {"limits.cpu": None}}}
    objects = rendered("production", {"resources": {"limits": without}} | bounds)
    (container,) = server(objects)["containers"]
    (bound,) = one(objects, "LimitRange")["spec"]["limits"]
    for limits in (container["resources"]["limits"], bound["default"]):
        assert limits.keys() == {"memory", "ephemeral-storage"}
    assert "limits.cpu" not in one(objects, "ResourceQuota")["spec"]["hard"]


@pytest.mark.parametrize(
    "url",
    [
        *(f"{scheme}://redis" for scheme in SCHEMES if "sentinel" not in scheme),
        *(f"{scheme}://one:26379,two/main/0" for scheme in SCHEMES if "sentinel" in scheme),
        "redis://user@redis:6379/0",
        "rediss://user@[fd00::5]:6380/0?ssl_cert_reqs=none&ssl_check_hostname=false",
    ],
)
def test_every_address_of_redis_that_the_service_reads_passes_if_it_has_no_password(
    rendered: Rendered, url: str
) -> None:
    given = settings(rendered(values=SHARED | {"redis": {"url": url}}))["RETRIEVAL_REDIS_URL"]
    assert read_url(given).password is None


def test_every_setting_can_be_given_and_is_read_as_it_was_meant(rendered: Rendered) -> None:
    given = {
        name: value
        for name, value in msgspec.to_builtins(Settings(data_dir=None)).items()  # type: ignore[arg-type]  # no JSON type
        if name.lower() not in OF_THE_CHART
    }
    changed = {"cache_memory_mb": 1_500_000, "embedding_price_per_1000": 0.00002, "faq_enabled": False}
    values = {name.lower(): value for name, value in given.items() if value is not None} | changed
    environment = settings(rendered(values={"settings": values}))
    read, warnings = load_settings(environment)
    assert warnings == []
    assert {name: getattr(read, name) for name in values} == values


@pytest.mark.parametrize("environment", ["", *environments()])
def test_the_service_understands_what_it_is_given(rendered: Rendered, environment: str) -> None:
    read, warnings = load_settings(settings(rendered(environment)))
    assert warnings == []
    assert read.address == ("0.0.0.0", 8000)  # noqa: S104  # of the container
    assert str(read.data_dir) == "/data"


def test_the_defaults_of_the_chart_are_those_of_the_service() -> None:
    given = DEFAULTS["settings"] | {"drain_seconds": 0}  # a process that nobody is led to need not wait
    assert {name: getattr(Settings(), name) for name in given} == given


@pytest.mark.parametrize("environment", environments())
def test_an_environment_holds_differences_only(environment: str) -> None:
    own = yaml.safe_load((ENVIRONMENTS / f"{environment}.yaml").read_text())
    assert dict(leaves(own)).items().isdisjoint(dict(leaves(DEFAULTS)).items())


def leaves(values: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Return the values that are no maps, by their paths."""
    found = []
    for name, value in values.items():
        is_map = isinstance(value, dict)
        found += leaves(value, f"{path}.{name}") if is_map else [(f"{path}.{name}", repr(value))]
    return found
