{{/* HAProxy Technologies: https://github.com/haproxytech/kubernetes-ingress/blob/master/documentation/annotations.md

A pod that does not take connections is let go: `redispatch` sends the request to another. Streams need nothing. The
client's side (`timeout-client`) and the silence of WebSockets (`timeout-tunnel`, 1 h) are the business of the controller's
ConfigMap, and a largest body cannot be set by annotation. */}}

{{- define "retrieval.ingress.haproxy" -}}
{{- with .Values.ingress -}}
{{- $prefix := "haproxy.org" -}}
{{ $prefix }}/ssl-redirect: {{ .tls.enabled | quote }}
{{- if .tls.enabled }}
{{ $prefix }}/ssl-redirect-port: "443" # else it is the port inside the controller's pod, 8443
{{- end }}
{{ $prefix }}/timeout-server: {{ printf "%ds" (int .timeouts.readSeconds) }}
{{- if .rateLimit.requestsPerMinute }}
{{ $prefix }}/rate-limit-requests: {{ .rateLimit.requestsPerMinute | quote }}
{{ $prefix }}/rate-limit-period: 1m
{{ $prefix }}/rate-limit-status-code: "429"
{{- end }}
{{- end -}}
{{- end -}}

{{- define "retrieval.ingress.haproxyService" -}}
{{- with .Values.ingress -}}
{{- $prefix := "haproxy.org" -}}
{{ $prefix }}/check: "true"
{{ $prefix }}/check-http: /health/ready
{{- if eq .affinity.by "cookie" }}
{{ $prefix }}/cookie-persistence: {{ .affinity.cookieName | quote }}
{{- else if eq .affinity.by "address" }}
{{ $prefix }}/load-balance: source
{{- end }}
{{ $prefix }}/backend-config-snippet: |
  timeout connect {{ .timeouts.connectSeconds }}s
  option redispatch 1
  retry-on conn-failure
{{- if eq .affinity.by "address" }}
  hash-type consistent
{{- end }}
{{- end -}}
{{- end -}}
