{{- define "berth.natsConfig" -}}
server_name: $POD_NAME
listen: 0.0.0.0:4222
http: 0.0.0.0:8222
pid_file: /tmp/nats.pid
max_payload: 1MB
jetstream {
  store_dir: /data
  max_memory_store: 64MB
  max_file_store: {{ .Values.nats.bundled.size | replace "i" "" }}B
  sync_interval: {{ .Values.nats.bundled.syncInterval }}
}
{{- if gt (int (include "berth.natsReplicas" .)) 1 }}
cluster {
  name: berth
  listen: 0.0.0.0:6222
  authorization { user: berth, password: $ROUTES_PASSWORD, timeout: 5 }
  routes: $ROUTES
}
{{- end }}
include ../users/nats-users.conf
{{- end }}

{{/* The name of what users of NATS may do in this release. */}}
{{- define "berth.natsRights" -}}
{{ (.Files.Get "files/nats-rights.yaml" | fromYaml).rights }}
{{- end }}
