{{/* Annotations of the Service that an ingress controller reads there. */}}

{{- define "retrieval.ingress.serviceAnnotations" -}}
{{- if .Values.ingress.enabled -}}
{{- if eq .Values.ingress.controller "traefik" -}}{{- include "retrieval.ingress.traefikService" . -}}{{- end -}}
{{- if eq .Values.ingress.controller "haproxy" -}}{{- include "retrieval.ingress.haproxyService" . -}}{{- end -}}
{{- end -}}
{{- end -}}
