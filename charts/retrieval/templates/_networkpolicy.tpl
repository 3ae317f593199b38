{{/* Rules that several NetworkPolicies share. */}}

{{- define "retrieval.egressToDns" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}

{{- define "retrieval.ingressFromServer" -}}
- podSelector:
    matchLabels:
      {{- include "retrieval.selectorLabels" (list . "server") | nindent 6 }}
{{- end -}}
