{{/* Names, labels and the few facts that several resources share. */}}

{{- define "retrieval.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "retrieval.fullname" -}}
{{- $name := include "retrieval.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Takes a list: the root, and which component. Never changes: a Deployment's selector cannot. */}}
{{- define "retrieval.selectorLabels" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "retrieval.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{- define "retrieval.labels" -}}
{{- $root := first . -}}
{{ include "retrieval.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "retrieval.image" -}}
{{- with .Values.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "retrieval.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "retrieval.fullname" .) "default") -}}
{{- end -}}

{{- define "retrieval.isEmbedded" -}}
{{- if eq .Values.settings.store "embedded" -}}true{{- end -}}
{{- end -}}

{{- define "retrieval.isScaled" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled -}}true{{- end -}}
{{- end -}}

{{- define "retrieval.fewestReplicas" -}}
{{- empty (include "retrieval.isScaled" .) | ternary .Values.replicaCount .Values.autoscaling.minReplicas | int -}}
{{- end -}}

{{- define "retrieval.claim" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-data" (include "retrieval.fullname" .)) -}}
{{- end -}}

{{/* The claim that is there, if this release has made it; empty where helm does not look into the cluster. */}}
{{- define "retrieval.ownClaim" -}}
{{- $found := lookup "v1" "PersistentVolumeClaim" .Release.Namespace (include "retrieval.claim" .) | default dict -}}
{{- if eq .Release.Name (dig "metadata" "annotations" "meta.helm.sh/release-name" "" $found) -}}
{{- toYaml $found.spec.resources.requests -}}
{{- end -}}
{{- end -}}

{{/* The chart makes its own claim also where it is named as one that exists: left out, it would be removed by helm. */}}
{{- define "retrieval.makesClaim" -}}
{{- if and (include "retrieval.isEmbedded" .) (or (not .Values.persistence.existingClaim) (include "retrieval.ownClaim" .)) -}}
true
{{- end -}}
{{- end -}}

{{- define "retrieval.graceSeconds" -}}
{{- $stopping := addf (.Values.settings.request_deadline_seconds | float64) (.Values.settings.drain_seconds | float64) 10 -}}
{{- $needed := addf .Values.drain.preStopSeconds $stopping .Values.drain.marginSeconds | ceil | int -}}
{{- $given := .Values.terminationGracePeriodSeconds | int -}}
{{- if and $given (lt $given $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: the pod may need %d s to stop (drain.preStopSeconds, settings.drain_seconds, settings.request_deadline_seconds, 10 s and drain.marginSeconds)" $given $needed) -}}
{{- end -}}
{{- $given | default $needed -}}
{{- end -}}

{{/* Names of the secrets in use: those given, or those made here. Empty: none. What is made has names of its own: a name
that is given later must never be that of a secret which helm then removes. */}}
{{- define "retrieval.generated" -}}
{{- printf "%s-generated" (include "retrieval.fullname" .) -}}
{{- end -}}

{{- define "retrieval.apiKeysSecret" -}}
{{- .Values.apiKeys.existingSecret | default (printf "%s-api-keys" (include "retrieval.generated" .)) -}}
{{- end -}}

{{- define "retrieval.adminKeySecret" -}}
{{- if not .Values.apiKeys.existingSecret -}}{{ include "retrieval.generated" . }}-admin-key{{- end -}}
{{- end -}}

{{- define "retrieval.redisSecret" -}}
{{- .Values.redis.existingSecret | default (.Values.redis.enabled | ternary (printf "%s-redis" (include "retrieval.generated" .)) "") -}}
{{- end -}}

{{- define "retrieval.weaviateSecret" -}}
{{- .Values.weaviate.existingSecret | default (.Values.weaviate.enabled | ternary (printf "%s-weaviate" (include "retrieval.generated" .)) "") -}}
{{- end -}}

{{/* Takes a list: the root, a secret's name, a key of it. The value that the cluster holds, or nothing. */}}
{{- define "retrieval.kept" -}}
{{- $secret := lookup "v1" "Secret" (first .).Release.Namespace (index . 1) -}}
{{- get ($secret.data | default dict) (last .) | b64dec -}}
{{- end -}}

{{/* What every pod has: where it may run and its image be had, and the restricted Pod Security Standard. */}}
{{- define "retrieval.podDefaults" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}
