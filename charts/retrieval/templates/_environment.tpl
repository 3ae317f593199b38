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

{{/* Ports outside the release that the settings name, for the NetworkPolicy. Sentinels lead to Redis on 6379. */}}
{{- define "retrieval.externalPorts" -}}
{{- $addresses := list -}}
{{- if not .Values.redis.enabled -}}{{- $addresses = append $addresses .Values.redis.url -}}{{- end -}}
{{- if not (or .Values.weaviate.enabled (include "retrieval.isEmbedded" .)) -}}
{{- $addresses = append $addresses .Values.weaviate.grpcAddress -}}
{{- range splitList "," .Values.weaviate.url -}}
{{- $default := hasPrefix "https:" (trim .) | ternary ":443" ":80" -}}
{{- $addresses = append $addresses (regexMatch ":[0-9]+" . | ternary . $default) -}}
{{- end -}}
{{- end -}}
{{- $text := join "," $addresses -}}
{{- if regexMatch "^(redis|rediss|sentinel|cluster)://" .Values.redis.url -}}{{- $text = print $text ",:6379" -}}{{- end -}}
{{- $ports := list -}}
{{- range regexFindAll ":[0-9]+" $text -1 -}}{{- $ports = append $ports (trimPrefix ":" .) -}}{{- end -}}
{{- $ports | uniq | sortAlpha | join "," -}}
{{- end -}}
