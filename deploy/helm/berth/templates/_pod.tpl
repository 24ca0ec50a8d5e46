{{/* What a service gets: the preset's block for it, or for all, with what values say on top. Takes root and service. */}}
{{- define "berth.settings" -}}
{{- $preset := index (.root.Files.Get "files/presets.yaml" | fromYaml) .root.Values.preset -}}
{{- $own := ternary .root.Values.proxy (index .root.Values.services .service) (eq .service "proxy") -}}
{{- $settings := mergeOverwrite (deepCopy (index $preset .service | default $preset.default)) (deepCopy ($own | default dict)) -}}
{{- if .root.Values.demo -}}
{{- $_ := set $settings "replicas" (($own | default dict).replicas | default 1) -}}
{{- if not ($own | default dict).autoscaling -}}{{- $_ := unset $settings "autoscaling" -}}{{- end -}}
{{- end -}}
{{ toYaml $settings }}
{{- end }}

{{- define "berth.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user | default 10001 }}
runAsGroup: {{ .user | default 10001 }}
fsGroup: {{ .user | default 10001 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "berth.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods run. Takes root, component and settings. */}}
{{- define "berth.placement" -}}
{{- $v := .root.Values -}}
{{- $s := .settings | default dict -}}
{{- with $s.nodeSelector | default $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $s.tolerations | default $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $s.affinity | default $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $s.priorityClassName | default $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $v.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
{{- if $s.topologySpreadConstraints }}
{{- toYaml $s.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "berth.selector" (dict "root" $.root "component" $.component) | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "berth.replicated" -}}
{{- $s := .settings -}}
{{- if gt (int (ternary (($s.autoscaling | default dict).min | default 1) $s.replicas (($s.autoscaling | default dict).enabled | default false))) 1 }}true{{ end -}}
{{- end }}
