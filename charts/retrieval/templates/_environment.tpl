{{/* The variables RETRIEVAL_*: the settings given, and those that follow from the rest of the values. */}}

{{- define "retrieval.redisUrl" -}}
{{- .Values.redis.enabled | ternary (printf "redis://%s-redis:6379/0" (include "retrieval.fullname" .)) .Values.redis.url -}}
{{- end -}}

{{- define "retrieval.weaviateUrl" -}}
{{- .Values.weaviate.enabled | ternary (printf "http://%s-weaviate:8080" (include "retrieval.fullname" .)) .Values.weaviate.url -}}
{{- end -}}

{{- define "retrieval.weaviateGrpcAddress" -}}
{{- .Values.weaviate.enabled | ternary (printf "%s-weaviate:50051" (include "retrieval.fullname" .)) .Values.weaviate.grpcAddress -}}
{{- end -}}

{{/* Helm reads numbers as floats, which print large ones as 1e+06. */}}
{{- define "retrieval.settingText" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ printf "%.0f" . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{- define "retrieval.settings" -}}
{{- range $name, $value := .Values.settings }}
RETRIEVAL_{{ upper $name }}: {{ include "retrieval.settingText" $value | quote }}
{{- end }}
RETRIEVAL_API_KEYS_FILE: /etc/retrieval/keys/{{ .Values.apiKeys.key }}
RETRIEVAL_DATA_DIR: /data
RETRIEVAL_LISTEN: 0.0.0.0:8000
{{- with include "retrieval.redisUrl" . }}
RETRIEVAL_REDIS_URL: {{ . | quote }}
{{- end }}
{{- if not (include "retrieval.isEmbedded" .) }}
RETRIEVAL_WEAVIATE_URL: {{ include "retrieval.weaviateUrl" . | quote }}
RETRIEVAL_WEAVIATE_GRPC_ADDRESS: {{ include "retrieval.weaviateGrpcAddress" . | quote }}
{{- end }}
{{- end -}}

{{/* Takes a list: an address, with or without a scheme and a path, and the port where it names none. An IPv6 address
stands in brackets, and its colons are no port's. */}}
{{- define "retrieval.portOf" -}}
{{- $host := regexReplaceAll "^([a-z]+://)?(\\[[^]]*\\])?([^/]*).*$" (first . | trim) "${3}" -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default (last .) -}}
{{- end -}}

{{/* Ports outside the release that the settings name, for the NetworkPolicy. Sentinels lead to Redis on 6379. */}}
{{- define "retrieval.externalPorts" -}}
{{- $ports := list -}}
{{- with .Values.redis.url -}}
{{- $isSentinel := contains "sentinel" (splitList "://" . | first) -}}
{{- range regexReplaceAll "^[a-z+]+://([^@]*@)?([^/?]*).*$" . "${2}" | splitList "," -}}
{{- $ports = append $ports (include "retrieval.portOf" (list . ($isSentinel | ternary "26379" "6379"))) -}}
{{- end -}}
{{- if $isSentinel -}}{{- $ports = append $ports "6379" -}}{{- end -}}
{{- end -}}
{{- if not (or .Values.weaviate.enabled (include "retrieval.isEmbedded" .)) -}}
{{- range splitList "," .Values.weaviate.url -}}
{{- $default := hasPrefix "https:" (trim .) | ternary "443" "80" -}}
{{- $ports = append $ports (include "retrieval.portOf" (list . $default)) -}}
{{- end -}}
{{- range splitList "," .Values.weaviate.grpcAddress -}}
{{- $ports = append $ports (include "retrieval.portOf" (list . "")) -}}
{{- end -}}
{{- end -}}
{{- compact $ports | uniq | sortAlpha | join "," -}}
{{- end -}}
