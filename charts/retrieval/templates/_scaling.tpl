{{/* How fast the number of pods changes, by the HPA or by that of KEDA. */}}

{{- define "retrieval.scaling" -}}
{{- with .Values.autoscaling.scaleUp -}}
scaleUp:
  stabilizationWindowSeconds: {{ .stabilizationSeconds }}
  selectPolicy: {{ .select }}
  policies:
    - {type: Percent, value: {{ .percent }}, periodSeconds: {{ .periodSeconds }}}
    - {type: Pods, value: {{ .pods }}, periodSeconds: {{ .periodSeconds }}}
{{- end }}
{{- with .Values.autoscaling.scaleDown }}
scaleDown:
  stabilizationWindowSeconds: {{ .stabilizationSeconds }}
  selectPolicy: {{ .select }}
  policies:
    - {type: Percent, value: {{ .percent }}, periodSeconds: {{ .periodSeconds }}}
{{- end }}
{{- end -}}
