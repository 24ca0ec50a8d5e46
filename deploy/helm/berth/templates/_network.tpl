{{/* A port of peers, or of everybody where there are none. Takes peers and port. */}}
{{- define "berth.egressRule" -}}
- ports: [{port: {{ .port }}}]
  {{- with .peers }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The pods of one part of this release. Takes root and component. */}}
{{- define "berth.peer" -}}
podSelector:
  matchLabels: {{- include "berth.selector" . | nindent 4 }}
{{- end }}

{{/* The port of a Service is not that of its pods, which policies are about: those of cluster DNS listen on 1053 or 5353 in places. */}}
{{- define "berth.dnsRule" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- /* A rule to nobody in particular is one to everybody. */}}
{{- with .Values.networkPolicy.egress.dns }}
- to: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "berth.postgresqlRule" -}}
{{- if .Values.demo -}}
- ports: [{port: 5432}]
  to:
    - {{- include "berth.peer" (dict "root" . "component" "postgresql") | nindent 6 }}
{{- else -}}
{{ include "berth.egressRule" (dict "port" .Values.postgresql.external.port "peers" .Values.networkPolicy.egress.postgresql) }}
{{- end -}}
{{- end }}

{{- define "berth.natsRule" -}}
{{- if include "berth.bundledNats" . -}}
- ports: [{port: 4222}]
  to:
    - {{- include "berth.peer" (dict "root" . "component" "nats") | nindent 6 }}
{{- else -}}
{{ include "berth.egressRule" (dict "port" (regexFind ":[0-9]+$" .Values.nats.external.url | default ":4222" | trimPrefix ":") "peers" .Values.networkPolicy.egress.nats) }}
{{- end -}}
{{- end }}

{{/* The port that a URL names or its scheme stands for. Takes url and peers. */}}
{{- define "berth.urlRule" -}}
{{- $endpoint := urlParse .url -}}
{{- $port := ternary 443 80 (eq $endpoint.scheme "https") -}}
{{- with regexFind ":[0-9]+$" $endpoint.host -}}{{- $port = trimPrefix ":" . -}}{{- end -}}
{{ include "berth.egressRule" (dict "port" $port "peers" .peers) }}
{{- end }}

{{- define "berth.otlpRule" -}}
{{ include "berth.urlRule" (dict "url" .Values.tracing.otlpEndpoint "peers" .Values.networkPolicy.egress.otlp) }}
{{- end }}

{{- define "berth.s3Rule" -}}
{{ include "berth.urlRule" (dict "url" .Values.storage.s3.endpoint "peers" .Values.networkPolicy.egress.s3) }}
{{- if .Values.storage.s3.workloadIdentity }}
# Who gives the keys: STS, or the agent on the node.
- ports: [{port: 443}]
- ports: [{port: 80}]
  to: [{ipBlock: {cidr: 169.254.170.23/32}}, {ipBlock: {cidr: 169.254.169.254/32}}]
{{- end }}
{{- end }}

{{/* To registries, issuers and receivers: anywhere but to what clouds tell their machines alone. */}}
{{- define "berth.upstreamsRule" -}}
- to:
  {{- if .Values.networkPolicy.egress.upstreams }}
    {{- toYaml .Values.networkPolicy.egress.upstreams | nindent 4 }}
  {{- else }}
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fe80::/10", "fd00:ec2::254/128"]}
  {{- end }}
{{- end }}
