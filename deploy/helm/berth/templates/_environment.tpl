{{/* A variable out of a secret. */}}
{{- define "berth.secretVariable" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .secret | quote }}, key: {{ .key }}}}
{{- end }}

{{/* How to log in to PostgreSQL. Takes root; with migrates=true as the user that makes tables. */}}
{{- define "berth.databaseEnvironment" -}}
{{- $v := .root.Values -}}
{{- if $v.demo -}}
- {name: BERTH_DATABASE_URL, value: "postgresql://berth@{{ include "berth.fullname" .root }}-postgresql:5432/berth"}
{{ include "berth.secretVariable" (dict "name" "BERTH_DATABASE_PASSWORD" "secret" (include "berth.keysSecret" .root) "key" "database-password") }}
{{- else -}}
{{- $external := $v.postgresql.external -}}
{{- $prefix := ternary "migration-" "" (and $external.migrationUser (.migrates | default false)) -}}
{{ include "berth.secretVariable" (dict "name" "DATABASE_USER" "secret" $external.existingSecret "key" (printf "%susername" $prefix)) }}
- name: BERTH_DATABASE_URL
  value: "postgresql://$(DATABASE_USER)@{{ $external.host }}:{{ $external.port }}/{{ $external.database }}?sslmode={{ $external.sslMode }}&uselibpqcompat=true"
{{ include "berth.secretVariable" (dict "name" "BERTH_DATABASE_PASSWORD" "secret" $external.existingSecret "key" (printf "%spassword" $prefix)) }}
{{- end -}}
{{- end }}

{{/* Of a cluster the name of all its servers: a client learns the others from the one that it reached. */}}
{{- define "berth.natsUrl" -}}
{{- if include "berth.bundledNats" . -}}nats://{{ include "berth.fullname" . }}-nats:4222
{{- else -}}{{ .Values.nats.external.url }}{{- end -}}
{{- end }}

{{/* What the services have in common, and what is of the one that is named. Takes root and service. */}}
{{- define "berth.environment" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $service := .service -}}
{{- $keys := include "berth.keysSecret" .root -}}
- {name: BERTH_MIGRATE, value: "false"}
- {name: BERTH_EXTERNAL_URL, value: {{ $v.externalURL | quote }}}
- {name: BERTH_TRUSTED_PROXIES, value: {{ $v.trustedProxies | default (list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "100.64.0.0/10" "fc00::/7") | join "," | quote }}}
- {name: BERTH_LOG_OUTPUT, value: stdout}
- {name: BERTH_DRAIN_SECONDS, value: {{ $v.drain.seconds | quote }}}
{{- if $v.tracing.otlpEndpoint }}
- {name: BERTH_OTLP_ENDPOINT, value: {{ $v.tracing.otlpEndpoint | quote }}}
- {name: BERTH_TRACE_RATIO, value: {{ printf "%.6f" (float64 $v.tracing.sampleRatio) | quote }}}
{{- end }}
- {name: BERTH_INTERNAL_PORT, value: "9100"}
{{- range $peer := list "auth" "build" "catalog" "registry" "sync" "tasks" }}
- {name: BERTH_{{ upper $peer }}_URL, value: {{ include "berth.internalUrl" (dict "root" $root "service" $peer) | quote }}}
{{- end }}
{{- if $v.internalTLS.enabled }}
- {name: BERTH_INTERNAL_TLS_CERT, value: /etc/berth-internal/tls.crt}
- {name: BERTH_INTERNAL_TLS_KEY, value: /etc/berth-internal/tls.key}
- {name: BERTH_INTERNAL_TLS_CA, value: /etc/berth-internal/ca.crt}
{{- end }}
{{ include "berth.databaseEnvironment" (dict "root" $root) }}
- {name: BERTH_NATS_URL, value: {{ include "berth.natsUrl" $root | quote }}}
{{ include "berth.secretVariable" (dict "name" "BERTH_NATS_SEED" "secret" $keys "key" (printf "nats-seed-%s" $service)) }}
{{ include "berth.secretVariable" (dict "name" "BERTH_SERVICE_PRIVATE_KEY" "secret" $keys "key" (printf "service-key-%s" $service)) }}
{{ include "berth.secretVariable" (dict "name" "BERTH_SERVICE_PUBLIC_KEYS" "secret" $keys "key" "service-public-keys") }}
{{ include "berth.secretVariable" (dict "name" "BERTH_METRICS_TOKEN" "secret" $keys "key" "metrics-token") }}
{{- if and (has $service (list "build" "tasks")) ($v.services.build).enabled }}
- {name: BERTH_BUILDS, value: "true"}
{{- end }}
{{- if include "berth.builds" . }}
- {name: BERTH_BUILD_DIR, value: /var/lib/berth/builds}
{{- end }}
{{- if or (has $service (list "auth" "sync" "tasks")) (include "berth.builds" .) }}
{{ include "berth.secretVariable" (dict "name" "BERTH_SECRETS_KEY" "secret" $keys "key" "secrets-key") }}
{{- end }}
{{- if eq $service "auth" }}
{{ include "berth.secretVariable" (dict "name" (ternary "BERTH_ADMIN_PASSWORD" "BERTH_ADMIN_FIRST_PASSWORD" (not (empty $v.auth.adminExistingSecret))) "secret" ($v.auth.adminExistingSecret | default $keys) "key" "admin-password") }}
{{- end }}
{{- if eq $service "sync" }}
- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: BERTH_INTERNAL_URL, value: "{{ ternary "https" "http" $v.internalTLS.enabled }}://$(POD_IP):9100"}
- {name: BERTH_SPOOL_DIR, value: /var/lib/berth/spool}
{{- end }}
{{- if include "berth.holdsBlobs" . }}
{{- if eq $v.storage.type "s3" }}
- {name: BERTH_S3_ENDPOINT, value: {{ $v.storage.s3.endpoint | quote }}}
- {name: BERTH_S3_BUCKET, value: {{ $v.storage.s3.bucket | quote }}}
- {name: BERTH_S3_REGION, value: {{ $v.storage.s3.region | quote }}}
{{- if $v.storage.s3.workloadIdentity }}
- {name: BERTH_S3_CREDENTIALS, value: workload}
{{- else }}
{{ include "berth.secretVariable" (dict "name" "BERTH_S3_ACCESS_KEY" "secret" $v.storage.s3.existingSecret "key" "access-key") }}
{{ include "berth.secretVariable" (dict "name" "BERTH_S3_SECRET_KEY" "secret" $v.storage.s3.existingSecret "key" "secret-key") }}
{{- end }}
{{- else }}
- {name: BERTH_BLOBS_DIR, value: /var/lib/berth/blobs}
{{- end }}
{{- end }}
{{- if $v.extraCaCerts.existingConfigMap }}
- {name: NODE_EXTRA_CA_CERTS, value: /etc/berth/ca.crt}
{{- end }}
{{- end }}
