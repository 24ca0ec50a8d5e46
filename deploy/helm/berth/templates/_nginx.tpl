{{/*
The configuration of the proxy: each public prefix to its service, bodies as they come, and nothing else. No connection to a service is
kept: one that its pod is about to close would fail a request that must not be sent twice.
*/}}
{{- define "berth.nginx" -}}
worker_processes 2;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
worker_shutdown_timeout {{ .Values.drain.seconds }}s;
events {
  worker_connections 4096;
}
http {
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server_tokens off;
  merge_slashes off;
  client_max_body_size 0;
  client_header_timeout 30s;
  large_client_header_buffers 8 32k;
  keepalive_timeout 75s;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_connect_timeout 5s;
  proxy_read_timeout 15m;
  proxy_send_timeout 15m;
  proxy_next_upstream error timeout;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  # What a client says of itself is not believed, but for what those say that values name.
  proxy_set_header X-Forwarded-For $remote_addr;
  {{- with (.Values.proxy).trustedAddresses }}
  {{- range . }}
  set_real_ip_from {{ . }};
  {{- end }}
  real_ip_header X-Forwarded-For;
  real_ip_recursive on;
  {{- end }}
  server {
    listen 8080;
    location = /healthz {
      return 200;
    }
    location / {
      default_type text/plain;
      return 404 "Berth answers /v2 and /api/v1.\n";
    }
    {{- $name := include "berth.fullname" . }}
    {{- range (.Files.Get "files/routes.yaml" | fromYaml).routes }}
    location = {{ .prefix }} {
      proxy_pass http://{{ $name }}-{{ .service }}:8080;
    }
    location {{ .prefix }}/ {
      proxy_pass http://{{ $name }}-{{ .service }}:8080;
    }
    {{- end }}
  }
}
{{- end }}
