{{- define "berth.fullname" -}}
{{- if contains "berth" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-berth" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Takes (dict "root" $ "component" "registry"): what selects the pods of one part. Never changes, for selectors cannot. */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Takes root and component, and labels of this object, which win over those of all; lasting: pods that another release is no reason to start again. */}}
{{- define "berth.labels" -}}
{{ include "berth.selector" . }}
app.kubernetes.io/part-of: berth
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- if not .lasting }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end }}
{{- with merge (dict) (.labels | default dict) (.root.Values.commonLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object. Takes root, component, and a suffix of its name; annotations and labels are merged with those of all. */}}
{{- define "berth.metadata" -}}
name: {{ include "berth.fullname" .root }}-{{ .suffix | default .component }}
labels: {{- include "berth.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image of values.images. Takes root and name. */}}
{{- define "berth.image" -}}
{{- $image := index .root.Values.images .name -}}
{{- $repository := $image.repository -}}
{{- with .root.Values.global.imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- $first := first $parts -}}
{{- if or (contains "." $first) (contains ":" $first) (eq $first "localhost") -}}{{- $parts = rest $parts -}}{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (join "/" $parts) -}}
{{- end -}}
{{- if $image.digest -}}{{ $repository }}@{{ $image.digest }}
{{- else -}}{{ $repository }}:{{ $image.tag | default .root.Chart.AppVersion }}{{- end -}}
{{- end }}

{{- define "berth.keysSecret" -}}
{{ .Values.keys.existingSecret | default (printf "%s-keys" (include "berth.fullname" .)) }}
{{- end }}

{{/* The secrets of somebody else's making that this release reads, each with the value that names it. */}}
{{- define "berth.namedSecrets" -}}
{{- $v := .Values -}}
{{- $names := dict -}}
{{- with $v.keys.existingSecret }}{{ $_ := set $names . "keys.existingSecret" }}{{ end -}}
{{- with $v.auth.adminExistingSecret }}{{ $_ := set $names . "auth.adminExistingSecret" }}{{ end -}}
{{- if not $v.demo }}{{ $_ := set $names $v.postgresql.external.existingSecret "postgresql.external.existingSecret" }}{{ end -}}
{{- if $v.internalTLS.enabled -}}
{{- range $service, $secret := $v.internalTLS.existingSecrets -}}
{{- with $secret }}{{ $_ := set $names . (printf "internalTLS.existingSecrets.%s" $service) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.storage.type "s3") $v.storage.s3.existingSecret }}{{ $_ := set $names $v.storage.s3.existingSecret "storage.s3.existingSecret" }}{{ end -}}
{{ toYaml $names }}
{{- end }}

{{/* The secret with what a service shows the others. Takes root and service. */}}
{{- define "berth.internalTlsSecret" -}}
{{ index .root.Values.internalTLS.existingSecrets .service | default (printf "%s-%s-internal-tls" (include "berth.fullname" .root) .service) }}
{{- end }}

{{/* Where a service is for the others. Takes root and service. */}}
{{- define "berth.internalUrl" -}}
{{ ternary "https" "http" .root.Values.internalTLS.enabled }}://{{ include "berth.fullname" .root }}-{{ .service }}:9100
{{- end }}

{{- define "berth.bundledNats" -}}
{{- if and .Values.nats.bundled.enabled (empty .Values.nats.external.url) }}true{{ end -}}
{{- end }}

{{- define "berth.natsReplicas" -}}
{{ ternary 1 .Values.nats.bundled.replicas .Values.demo }}
{{- end }}

{{- define "berth.services" -}}
[auth, build, catalog, registry, sync, tasks]
{{- end }}
