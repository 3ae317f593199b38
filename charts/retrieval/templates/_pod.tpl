{{/* Parts of the Deployment's pod. */}}

{{- define "retrieval.probes" -}}
startupProbe:
  httpGet: {path: /health/live, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ div .Values.probes.startupSeconds 2 }}
readinessProbe:
  httpGet: {path: /health/ready, port: http}
  periodSeconds: {{ .Values.probes.readinessPeriodSeconds }}
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /health/live, port: http}
  periodSeconds: {{ .Values.probes.livenessPeriodSeconds }}
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{- define "retrieval.secretEnvironment" -}}
{{- with include "retrieval.redisSecret" . }}
- name: RETRIEVAL_REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.redis.existingSecretKey | quote }}}
{{- end }}
{{- with include "retrieval.weaviateSecret" . }}
- name: RETRIEVAL_WEAVIATE_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.weaviate.existingSecretKey | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Spreads the pods of one revision: those of the last one, which a rolling update replaces, do not count. */}}
{{- define "retrieval.placement" -}}
{{- $spread := list (list "topology.kubernetes.io/zone" .Values.topologySpread.zone) (list "kubernetes.io/hostname" .Values.topologySpread.node) }}
{{- if not (include "retrieval.isEmbedded" .) }}
topologySpreadConstraints:
{{- range $spread }}
{{- if last . }}
  - topologyKey: {{ first . }}
    maxSkew: 1
    whenUnsatisfiable: {{ last . }}
    nodeTaintsPolicy: Honor # a node that takes no pods, cordoned or reserved, is none to spread to
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "retrieval.selectorLabels" (list $ "server") | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}
