{{/* Refuses what cannot work, with what to set. The schema of values has the types; what depends on two values is here. */}}
{{- define "berth.check" -}}
{{- $v := .Values -}}
{{- if not $v.externalURL -}}
{{- fail "externalURL is not set: give the origin that clients type, as --set externalURL=https://registry.example.com" -}}
{{- end -}}
{{- if and $v.demo $v.postgresql.external.host -}}
{{- fail "demo and postgresql.external.host are both set: demo brings a PostgreSQL of its own; take one of them away" -}}
{{- end -}}
{{- if and $v.demo $v.nats.external.url -}}
{{- fail "demo and nats.external.url are both set: demo brings a NATS of its own; take one of them away" -}}
{{- end -}}
{{- if and (not $v.demo) (not $v.postgresql.external.host) -}}
{{- fail "postgresql.external.host is not set: name a PostgreSQL 15 or newer, or set demo=true for a trial that keeps nothing safe" -}}
{{- end -}}
{{- if and (not $v.demo) (not $v.postgresql.external.existingSecret) -}}
{{- fail "postgresql.external.existingSecret is not set: name a secret with username and password" -}}
{{- end -}}
{{- if and $v.nats.bundled.enabled $v.nats.external.url -}}
{{- fail "nats.bundled.enabled and nats.external.url are both set: set nats.bundled.enabled=false to use a NATS of yours" -}}
{{- end -}}
{{- if and (not $v.demo) (not $v.nats.bundled.enabled) (not $v.nats.external.url) -}}
{{- fail "no NATS: set nats.external.url, or nats.bundled.enabled=true" -}}
{{- end -}}
{{- if and $v.demo (not $v.nats.bundled.enabled) -}}
{{- fail "demo needs nats.bundled.enabled=true" -}}
{{- end -}}
{{- if eq $v.storage.type "s3" -}}
{{- if and $v.storage.s3.workloadIdentity $v.storage.s3.existingSecret -}}
{{- fail "storage.s3.workloadIdentity and storage.s3.existingSecret are both set: the platform gives keys, or the secret does" -}}
{{- end -}}
{{- range $name := list "endpoint" "bucket" "existingSecret" -}}
{{- if not (or (index $v.storage.s3 $name) (and (eq $name "existingSecret") $v.storage.s3.workloadIdentity)) -}}
{{- fail (printf "storage.type is s3 and storage.s3.%s is not set" $name) -}}
{{- end -}}
{{- end -}}
{{- if $v.storage.filesystem.existingClaim -}}
{{- fail "storage.type is s3 and storage.filesystem.existingClaim is set: blobs lie in one of them; take the other away" -}}
{{- end -}}
{{- else if or $v.storage.s3.bucket $v.storage.s3.endpoint -}}
{{- fail "storage.s3 is set and storage.type is filesystem: set storage.type=s3 to keep blobs in the bucket, or take storage.s3 away" -}}
{{- end -}}
{{- if and (eq $v.expose.type "gateway") (empty $v.expose.gateway.parentRefs) -}}
{{- fail "expose.type is gateway and expose.gateway.parentRefs is empty: name the Gateway, as [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- if and $v.expose.ingress.tlsSecretName (not (hasPrefix "https://" $v.externalURL)) -}}
{{- fail "expose.ingress.tlsSecretName is set and externalURL does not begin with https://" -}}
{{- end -}}
{{- if and (ne $v.migrations.hook "none") (ne $v.migrations.hook "helm") (ne $v.migrations.hook "argocd") -}}
{{- fail "migrations.hook is none of helm, argocd and none" -}}
{{- end -}}
{{- range $name, $settings := $v.services -}}
{{- if not (has $name (include "berth.services" $ | fromYamlArray)) -}}
{{- fail (printf "services.%s is no service: there are registry, catalog, sync, tasks, build and auth" $name) -}}
{{- end -}}
{{- if and (hasKey (default dict $settings) "enabled") (ne $name "build") -}}
{{- fail (printf "services.%s.enabled is set: only build can be switched off and on; take it away" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}
