{{/* Rules that several NetworkPolicies share. */}}

{{/* The second is the port of DNS' pods on OpenShift, behind a Service on 53: networks check that of the pod. */}}
{{- define "retrieval.egressToDns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}, {port: 5353, protocol: UDP}, {port: 5353, protocol: TCP}]
{{- end -}}

{{- define "retrieval.ingressFromServer" -}}
- podSelector:
    matchLabels:
      {{- include "retrieval.selectorLabels" (list . "server") | nindent 6 }}
{{- end -}}
