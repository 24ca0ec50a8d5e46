{{/* What a service gets: the preset's block for it, or for all, with what values say on top. Replicas that values name are the least that are scaled to. Takes root and service. */}}
{{- define "berth.settings" -}}
{{- $preset := index (.root.Files.Get "files/presets.yaml" | fromYaml) .root.Values.preset -}}
{{- $own := ternary .root.Values.proxy (index .root.Values.services .service) (eq .service "proxy") | default dict -}}
{{- $default := index $preset .service | default $preset.default -}}
{{- if include "berth.builds" . -}}{{- $default = index (.root.Files.Get "files/presets.yaml" | fromYaml) "builds" -}}{{- end -}}
{{- $settings := mergeOverwrite (deepCopy $default) (deepCopy $own) -}}
{{- if .root.Values.demo -}}
{{- $_ := set $settings "replicas" ($own.replicas | default 1) -}}
{{- if not $own.autoscaling -}}{{- $_ := unset $settings "autoscaling" -}}{{- end -}}
{{- end -}}
{{- with $settings.autoscaling -}}
{{- $min := ($own.autoscaling | default dict).min | default $own.replicas | default .min | default 2 -}}
{{- $_ := set . "min" $min -}}
{{- if not ($own.autoscaling | default dict).max -}}{{- $_ := set . "max" (max (int $min) (int (.max | default 6))) -}}{{- end -}}
{{- end -}}
{{ toYaml $settings }}
{{- end }}

{{/* Whether this service is build, and builds. Takes root and service. */}}
{{- define "berth.builds" -}}
{{- if and (eq .service "build") (.root.Values.services.build).enabled }}true{{ end -}}
{{- end }}

{{/* Whether a service reads and writes blobs. Takes root and service. */}}
{{- define "berth.holdsBlobs" -}}
{{- if or (has .service (list "registry" "catalog" "sync")) (include "berth.builds" .) }}true{{ end -}}
{{- end }}

{{/* Takes builds: then it may make user namespaces. */}}
{{- define "berth.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user | default 10001 }}
runAsGroup: {{ .user | default 10001 }}
fsGroup: {{ .user | default 10001 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: {{ ternary "Unconfined" "RuntimeDefault" (not (empty .builds)) }}}
{{- end }}

{{/*
Takes builds: to give a build ids of its own newuidmap becomes root for a moment, and a /proc of its own is to be had only where that of the
container is not masked, which privileged alone does without user namespaces of Kubernetes.
*/}}
{{- define "berth.containerSecurity" -}}
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- if .builds }}
privileged: true
allowPrivilegeEscalation: true
{{- else }}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}
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
priorityClassName: {{ . | quote }}
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
{{- if gt (int (ternary ($s.autoscaling | default dict).min $s.replicas (($s.autoscaling | default dict).enabled | default false))) 1 }}true{{ end -}}
{{- end }}
