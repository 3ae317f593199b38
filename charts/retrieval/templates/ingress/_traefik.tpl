{{/* Traefik 3: https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/ingress/

The limit is a Middleware, the timeouts a ServersTransport. A pod that leaves the endpoints is let go and the cookie set
anew; until then a client without a cookie is sent to another pod by the retry, one with a cookie is not: Traefik checks
the health of ExternalName services alone, not of pods. WebSockets and streams need nothing, and nothing bounds a silence
inside them. The time of an upload is the entry point's business (`respondingTimeouts.readTimeout`: of the whole of it, so
0 for long imports), and a largest body would make Traefik hold bodies back: neither is set here. */}}

{{- define "retrieval.ingress.traefik" -}}
{{- with .Values.ingress -}}
{{- $prefix := "traefik.ingress.kubernetes.io" -}}
{{ $prefix }}/router.tls: {{ .tls.enabled | quote }}
{{ $prefix }}/router.middlewares: {{ include "retrieval.ingress.traefikMiddlewares" $ }}
{{- end -}}
{{- end -}}

{{- define "retrieval.ingress.traefikMiddlewares" -}}
{{- $names := list "retry" -}}
{{- if .Values.ingress.rateLimit.requestsPerMinute -}}{{- $names = prepend $names "rate-limit" -}}{{- end -}}
{{- $full := list -}}
{{- range $names -}}
{{- $full = append $full (printf "%s-%s-%s@kubernetescrd" $.Release.Namespace (include "retrieval.fullname" $) .) -}}
{{- end -}}
{{- join "," $full -}}
{{- end -}}

{{- define "retrieval.ingress.traefikService" -}}
{{- $prefix := "traefik.ingress.kubernetes.io" -}}
{{ $prefix }}/service.serverstransport: {{ printf "%s-%s@kubernetescrd" .Release.Namespace (include "retrieval.fullname" .) }}
{{- with .Values.ingress }}
{{- if eq .affinity.by "cookie" }}
{{ $prefix }}/service.sticky.cookie: "true"
{{ $prefix }}/service.sticky.cookie.name: {{ .affinity.cookieName | quote }}
{{ $prefix }}/service.sticky.cookie.httponly: "true"
{{ $prefix }}/service.sticky.cookie.samesite: lax
{{ $prefix }}/service.sticky.cookie.secure: {{ .tls.enabled | quote }}
{{- if .affinity.seconds }}
{{ $prefix }}/service.sticky.cookie.maxage: {{ .affinity.seconds | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
