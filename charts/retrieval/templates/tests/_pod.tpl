{{/* A pod of `helm test`. Takes a list: the root, the name of a script in files/, YAML of more variables. */}}

{{- define "retrieval.testPod" -}}
{{- $root := first . -}}
{{- $script := index . 1 -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "retrieval.fullname" $root }}-{{ $script | replace "_" "-" }}
  labels:
    {{- include "retrieval.labels" (list $root "test") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    kube-score/ignore: container-image-pull-policy # the tag is never moved
spec:
  {{- include "retrieval.podDefaults" $root | nindent 2 }}
  serviceAccountName: {{ include "retrieval.serviceAccountName" $root | quote }}
  restartPolicy: Never
  activeDeadlineSeconds: 120
  containers:
    - name: test
      image: {{ include "retrieval.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [python, -c]
      args:
        - |
          {{- $root.Files.Get (printf "files/%s.py" $script) | nindent 10 }}
      env:
        - {name: URL, value: "http://{{ include "retrieval.fullname" $root }}:{{ $root.Values.service.port }}"}
        {{- with last . }}
        {{- . | nindent 8 }}
        {{- end }}
      resources:
        requests: {cpu: 50m, memory: 64Mi, ephemeral-storage: 16Mi}
        limits: {cpu: 500m, memory: 128Mi, ephemeral-storage: 32Mi}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
{{- end -}}
