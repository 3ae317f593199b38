{{/* ingress-nginx: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/

A pod that fails is let go: a refused connection goes to another pod at once, and the cookie moves with it. A POST that a
pod has read is not sent again: a rollback, asked again, goes forward, and the annotation holds for all paths alike. So a
search is repeated where the connection failed, and by its client where it broke later. GET, PUT and DELETE are safe to
send again; one that has been waited for is not (next-upstream-timeout). WebSockets need nothing. A client over the limit
gets the controller's `limit-req-status-code`: set it to 429 there. */}}

{{- define "retrieval.ingress.nginx" -}}
{{- with .Values.ingress -}}
{{- $prefix := "nginx.ingress.kubernetes.io" -}}
{{ $prefix }}/proxy-connect-timeout: {{ .timeouts.connectSeconds | quote }}
{{ $prefix }}/proxy-send-timeout: {{ .timeouts.sendSeconds | quote }}
{{ $prefix }}/proxy-read-timeout: {{ .timeouts.readSeconds | quote }}
{{ $prefix }}/proxy-next-upstream: error timeout
{{ $prefix }}/proxy-next-upstream-timeout: {{ mul 2 .timeouts.connectSeconds | quote }}
{{ $prefix }}/proxy-next-upstream-tries: "2"
{{ $prefix }}/proxy-body-size: {{ printf "%dm" (int .maxBodyMegabytes) | quote }}
{{ $prefix }}/proxy-request-buffering: "off"
{{ $prefix }}/proxy-buffering: "off"
{{- if .rateLimit.requestsPerMinute }}
{{ $prefix }}/limit-rpm: {{ .rateLimit.requestsPerMinute | quote }}
{{ $prefix }}/limit-burst-multiplier: {{ max 1 (ceil (divf .rateLimit.burst .rateLimit.requestsPerMinute)) | quote }}
{{- end }}
{{- if eq .affinity.by "cookie" }}
{{ $prefix }}/affinity: cookie
{{ $prefix }}/affinity-mode: balanced
{{ $prefix }}/session-cookie-name: {{ .affinity.cookieName | quote }}
{{ $prefix }}/session-cookie-path: / # else one for each path of the Ingress, and a client has as many pods
{{ $prefix }}/session-cookie-change-on-failure: "true"
{{ $prefix }}/session-cookie-samesite: Lax
{{ $prefix }}/session-cookie-secure: {{ .tls.enabled | quote }}
{{- if .affinity.seconds }}
{{ $prefix }}/session-cookie-max-age: {{ .affinity.seconds | quote }}
{{- end }}
{{- else if eq .affinity.by "address" }}
{{ $prefix }}/upstream-hash-by: $binary_remote_addr
{{- end }}
{{- end -}}
{{- end -}}
