"""Metrics of others that dashboards and alerts ask for, as their exporters document them."""

# https://github.com/kubernetes/kube-state-metrics/tree/main/docs/metrics/workload
# in the files on pods, deployments and horizontal pod autoscalers
KUBE_STATE_METRICS = {
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_ready",
    "kube_deployment_status_replicas_unavailable",
    "kube_deployment_status_replicas_updated",
    "kube_horizontalpodautoscaler_spec_max_replicas",
    "kube_horizontalpodautoscaler_spec_min_replicas",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_status_desired_replicas",
    "kube_pod_container_resource_limits",
    "kube_pod_container_resource_requests",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_status_restarts_total",
}
# https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md
CADVISOR = {
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
}
# https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
PROMETHEUS = {"ALERTS"}
OTHERS = KUBE_STATE_METRICS | CADVISOR

OF_CONTAINERS = {"retrieval_memory_limit_bytes"}
"""The service's own, but only where its container has a limit."""
