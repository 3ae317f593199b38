"""Values that switch on, one after another, whatever the chart can do beside what the environments use."""

from typing import Any

from tests.chart.parts import SHARED

OPEN = {"host": "retrieval.example.com", "enabled": True}
INSIDE = {"fromNamespaces": ["ingress"]}
SCALING: dict[str, Any] = {"minReplicas": 3, "maxReplicas": 10}
OPTIONS: dict[str, dict[str, Any]] = {
    "an embedded store": {},
    "nginx, by cookie": {"ingress": OPEN | {"controller": "nginx"}, "networkPolicy": INSIDE},
    "nginx, by address": {
        "ingress": OPEN | {"controller": "nginx", "affinity": {"by": "address"}},
        "networkPolicy": INSIDE,
    },
    "haproxy, by cookie": {"ingress": OPEN | {"controller": "haproxy"}, "networkPolicy": INSIDE},
    "haproxy, by address": {
        "ingress": OPEN | {"controller": "haproxy", "affinity": {"by": "address"}},
        "networkPolicy": INSIDE,
    },
    "traefik, by cookie": {"ingress": OPEN | {"controller": "traefik"}, "networkPolicy": INSIDE},
    "traefik, without affinity and limits": {
        "ingress": OPEN | {"affinity": {"by": "none"}, "rateLimit": {"requestsPerMinute": 0}, "maxBodyMegabytes": 5},
        "networkPolicy": INSIDE,
    },
    "a gateway": {
        "gateway": {
            "enabled": True,
            "parentRefs": [{"name": "gateway", "namespace": "gateways"}],
            "hostnames": ["retrieval.example.com"],
            "requestTimeoutSeconds": 60,
            "sessionPersistence": True,
        },
        "networkPolicy": INSIDE,
    },
    "an autoscaler": SHARED | {"autoscaling": SCALING | {"enabled": True}},
    "KEDA": SHARED | {"keda": {"enabled": True}},
    "recommendations": SHARED | {"replicaCount": 3, "verticalPodAutoscaler": {"enabled": True}},
    "a store and a Redis in the release": {
        "settings": {"store": "weaviate"},
        "weaviate": {"enabled": True},
        "redis": {"enabled": True},
    },
    "all that watches": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "disabled": ["RetrievalHitRateBelowTarget"]},
        "dashboards": {"enabled": True},
    },
    "bounds of the namespace": {"resourceQuota": {"enabled": True}, "limitRange": {"enabled": True}},
}
