"""Ways into the cluster: each controller is told the same numbers in its own words."""

from typing import Any

import pytest

from scripts.chart.rendering import RefusedValues, of_kind
from service.app import CLOSED, OPEN
from tests.chart.parts import Rendered, one

BASE: dict[str, Any] = {
    "enabled": True,
    "host": "retrieval.example.com",
    "affinity": {"by": "cookie", "cookieName": "stay", "seconds": 1800},
    "rateLimit": {"requestsPerMinute": 600, "burst": 1500},
    "timeouts": {"connectSeconds": 3, "sendSeconds": 40, "readSeconds": 50},
    "maxBodyMegabytes": 64,
    "tls": {"clusterIssuer": "letsencrypt"},
}
NGINX = "nginx.ingress.kubernetes.io/"
TRAEFIK = "traefik.ingress.kubernetes.io/"
HAPROXY = "haproxy.org/"


def values(controller: str, **changes: Any) -> dict[str, Any]:
    """Return values with an ingress."""
    return {
        "ingress": BASE | {"controller": controller} | changes,
        "networkPolicy": {"fromNamespaces": [controller]},
    }


def annotations(objects: list[dict[str, Any]], kind: str) -> dict[str, str]:
    """Return the annotations of the Ingress or the Service."""
    found: dict[str, str] = one(objects, kind)["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize("controller", ["nginx", "traefik", "haproxy"])
def test_clients_come_in_by_tls_with_a_certificate_of_cert_manager(rendered: Rendered, controller: str) -> None:
    ingress = one(rendered(values=values(controller)), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["ingressClassName"] == controller
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "retrieval-tls"}]
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    backends = [path["backend"]["service"] for path in rule["http"]["paths"]]
    assert all(backend == {"name": "retrieval", "port": {"name": "http"}} for backend in backends)


def test_all_of_the_api_is_carried_but_the_metrics(rendered: Rendered) -> None:
    paths = {"/schema", *(path for handler in [*CLOSED, *OPEN] for path in handler.paths)}
    routes = {f"/{path.split('/')[1]}" for path in paths} - {"/", "/metrics"}
    (rule,) = one(rendered(values=values("traefik")), "Ingress")["spec"]["rules"]
    gateway = {
        "gateway": {"enabled": True, "parentRefs": [{"name": "edge"}]},
        "networkPolicy": {"fromNamespaces": ["a"]},
    }
    (route,) = one(rendered(values=gateway), "HTTPRoute")["spec"]["rules"]
    by_ingress = {(path["pathType"], path["path"]) for path in rule["http"]["paths"]}
    by_gateway = {(match["path"]["type"], match["path"]["value"]) for match in route["matches"]}
    assert by_ingress == {("Exact", "/"), *(("Prefix", path) for path in routes)}
    assert by_gateway == {("Exact", "/"), *(("PathPrefix", path) for path in routes)}


def test_nginx_is_told_the_numbers(rendered: Rendered) -> None:
    told = annotations(rendered(values=values("nginx")), "Ingress")
    expected = {
        "affinity": "cookie",
        "session-cookie-name": "stay",
        "session-cookie-path": "/",  # else one for each beginning of a path
        "session-cookie-max-age": "1800",
        "session-cookie-change-on-failure": "true",
        "session-cookie-secure": "true",
        "limit-rpm": "600",
        "limit-burst-multiplier": "3",
        "proxy-connect-timeout": "3",
        "proxy-send-timeout": "40",
        "proxy-read-timeout": "50",
        "proxy-body-size": "64m",
        "proxy-buffering": "off",
        "proxy-request-buffering": "off",
        "proxy-next-upstream": "error timeout",
    }
    assert expected.items() <= {name.removeprefix(NGINX): value for name, value in told.items()}.items()


def test_traefik_is_told_the_numbers(rendered: Rendered) -> None:
    objects = rendered(values=values("traefik"))
    limit, retry = one(objects, "Middleware", "retrieval-rate-limit"), one(objects, "Middleware", "retrieval-retry")
    transport = one(objects, "ServersTransport")
    names = ",".join(f"default-{found['metadata']['name']}@kubernetescrd" for found in (limit, retry))
    service = annotations(objects, "Service")
    assert annotations(objects, "Ingress")[f"{TRAEFIK}router.middlewares"] == names
    assert limit["spec"]["rateLimit"] == {"average": 600, "period": "1m", "burst": 1500}
    assert transport["spec"]["forwardingTimeouts"] == {"dialTimeout": "3s", "responseHeaderTimeout": "50s"}
    assert service[f"{TRAEFIK}service.serverstransport"] == "default-retrieval@kubernetescrd"
    assert service[f"{TRAEFIK}service.sticky.cookie.name"] == "stay"
    assert service[f"{TRAEFIK}service.sticky.cookie.maxage"] == "1800"


def test_traefik_counts_clients_behind_load_balancers_by_their_own_address(rendered: Rendered) -> None:
    limit = {"requestsPerMinute": 600, "burst": 1500, "forwardedDepth": 2}
    middleware = one(rendered(values=values("traefik", rateLimit=limit)), "Middleware", "retrieval-rate-limit")
    assert middleware["spec"]["rateLimit"]["sourceCriterion"] == {"ipStrategy": {"depth": 2}}
    with pytest.raises(RefusedValues, match="for traefik alone"):
        rendered(values=values("nginx", rateLimit=limit))


def test_haproxy_is_told_the_numbers(rendered: Rendered) -> None:
    objects = rendered(values=values("haproxy"))
    told, service = annotations(objects, "Ingress"), annotations(objects, "Service")
    assert told[f"{HAPROXY}rate-limit-requests"] == "600"
    assert told[f"{HAPROXY}rate-limit-period"] == "1m"
    assert told[f"{HAPROXY}rate-limit-status-code"] == "429"
    assert told[f"{HAPROXY}timeout-server"] == "50s"
    assert told[f"{HAPROXY}ssl-redirect-port"] == "443"
    assert service[f"{HAPROXY}cookie-persistence"] == "stay"
    assert service[f"{HAPROXY}check-http"] == "/health/ready"
    assert {"timeout connect 3s", "option redispatch 1"} <= {*service[f"{HAPROXY}backend-config-snippet"].splitlines()}


def test_clients_stay_by_their_address_where_the_controller_can(rendered: Rendered) -> None:
    affinity = {"affinity": {"by": "address"}}
    nginx = annotations(rendered(values=values("nginx", **affinity)), "Ingress")
    haproxy = annotations(rendered(values=values("haproxy", **affinity)), "Service")
    assert nginx[f"{NGINX}upstream-hash-by"] == "$binary_remote_addr"
    assert f"{NGINX}affinity" not in nginx
    assert haproxy[f"{HAPROXY}load-balance"] == "source"
    assert f"{HAPROXY}cookie-persistence" not in haproxy
    with pytest.raises(RefusedValues, match="use cookie or none"):
        rendered(values=values("traefik", **affinity))


@pytest.mark.parametrize("controller", ["nginx", "traefik", "haproxy"])
def test_no_limit_and_no_affinity_leave_no_trace(rendered: Rendered, controller: str) -> None:
    off = {"rateLimit": {"requestsPerMinute": 0}, "affinity": {"by": "none"}}
    objects = rendered(values=values(controller, **off))
    told = [*annotations(objects, "Ingress").items(), *annotations(objects, "Service").items()]
    assert not [name for name, value in told if any(word in name + value for word in ("limit", "cookie", "hash"))]


def test_own_annotations_win(rendered: Rendered) -> None:
    own = {f"{NGINX}limit-rpm": "50", f"{NGINX}proxy-next-upstream": ""}
    assert annotations(rendered(values=values("nginx", annotations=own)), "Ingress").items() >= own.items()
    own = {f"{TRAEFIK}service.sticky.cookie.name": "mine", f"{TRAEFIK}service.sticky.cookie.samesite": ""}
    objects = rendered(values=values("traefik") | {"service": {"annotations": own}})
    assert annotations(objects, "Service").items() >= own.items()


@pytest.mark.parametrize("way", [{"ingress": BASE}, {"gateway": {"enabled": True, "parentRefs": [{"name": "edge"}]}}])
def test_a_policy_that_would_keep_the_controller_out_is_refused(rendered: Rendered, way: dict[str, Any]) -> None:
    with pytest.raises(RefusedValues, match=r"name its namespace in networkPolicy\.fromNamespaces"):
        rendered(values=way)


def test_the_controllers_namespace_is_let_in(rendered: Rendered) -> None:
    policy = one(rendered(values=values("traefik")), "NetworkPolicy")
    (rule,) = policy["spec"]["ingress"]
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["traefik"]}
    assert {"namespaceSelector": {"matchExpressions": [names]}} in rule["from"]


def test_a_gateway_carries_the_route(rendered: Rendered) -> None:
    gateway = {
        "enabled": True,
        "parentRefs": [{"name": "edge", "namespace": "gateways"}],
        "hostnames": ["retrieval.example.com"],
        "sessionPersistence": True,
    }
    objects = rendered(values={"gateway": gateway, "networkPolicy": {"fromNamespaces": ["gateways"]}})
    spec = one(objects, "HTTPRoute")["spec"]
    (rule,) = spec["rules"]
    assert (spec["parentRefs"], spec["hostnames"]) == (gateway["parentRefs"], gateway["hostnames"])
    assert rule["backendRefs"] == [{"name": "retrieval", "port": 80}]
    assert rule["timeouts"] == {"request": "0s"}  # none: imports and streams take long
    assert rule["sessionPersistence"]["sessionName"] == "retrieval_pod"
    assert not of_kind(objects, "Ingress")


def test_clients_in_the_cluster_stay_an_hour_on_their_pod_unless_told_otherwise(rendered: Rendered) -> None:
    spec = one(rendered(), "Service")["spec"]
    assert spec["sessionAffinity"] == "ClientIP"
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 3600}}
    assert (
        "sessionAffinity" not in one(rendered(values={"service": {"affinity": {"enabled": False}}}), "Service")["spec"]
    )
