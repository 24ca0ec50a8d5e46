{{/* Refuses what cannot work, with what to set. The schema of values has the types; what depends on two values is here. */}}
{{- define "berth.check" -}}
{{- $v := .Values -}}
{{- if not $v.externalURL -}}
{{- fail "externalURL is not set: give the origin that clients type, as --set externalURL=https://registry.example.com" -}}
{{- end -}}
{{- $host := (urlParse $v.externalURL).host -}}
{{- if contains "@" $v.externalURL -}}
{{- fail "externalURL has a user in it: give the origin alone, as https://registry.example.com" -}}
{{- end -}}
{{- if and (ne $v.expose.type "service") (or (hasPrefix "[" $host) (regexMatch "^[0-9.]+(:[0-9]+)?$" $host)) -}}
{{- fail (printf "expose.type is %s and externalURL is an address: ingresses and gateways go by names; give one, or set expose.type=service" $v.expose.type) -}}
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
{{- include "berth.checkExternalSecrets" . -}}
{{- include "berth.checkInternalTls" . -}}
{{- if and $v.backup.cronJob.enabled (or $v.demo (not $v.backup.cronJob.existingClaim)) -}}
{{- fail (ternary "backup.cronJob.enabled and demo are both set: a trial has nothing to back up" "backup.cronJob.enabled is set and backup.cronJob.existingClaim is not: name a volume claim for the dumps" $v.demo) -}}
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
{{- if not (regexMatch "^(nats://[^/@?#,\\s]+)?$" $v.nats.external.url) -}}
{{- fail "nats.external.url is not of the form nats://nats.example.com:4222: services log in by the keys, so it has no user or password, and no path, slash at its end or second server" -}}
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
{{- if and (ne $v.expose.type "service") (empty $v.trustedProxies) -}}
{{- fail (printf "expose.type is %s and trustedProxies is empty: name the network of your controller's pods, as [10.244.0.0/16], for X-Forwarded-For is believed from there" $v.expose.type) -}}
{{- end -}}
{{- if eq $v.expose.service.type "ClusterIP" -}}
{{- range $name := list "nodePort" "externalTrafficPolicy" -}}
{{- if index $v.expose.service $name -}}
{{- fail (printf "expose.service.%s is set and expose.service.type is ClusterIP: set type=NodePort or LoadBalancer, or take it away" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.expose.ingress.tlsSecretName (not (hasPrefix "https://" $v.externalURL)) -}}
{{- fail "expose.ingress.tlsSecretName is set and externalURL does not begin with https://" -}}
{{- end -}}
{{- if and (ne $v.migrations.hook "none") (ne $v.migrations.hook "helm") (ne $v.migrations.hook "argocd") -}}
{{- fail "migrations.hook is none of helm, argocd and none" -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
{{- if and $v.networkPolicy.metricsFrom (not $v.networkPolicy.ingressFrom) (ne $v.expose.type "service") -}}
{{- fail (printf "networkPolicy.metricsFrom is set and networkPolicy.ingressFrom is empty, which lets everybody in at the same port: name the pods of your %s in ingressFrom" $v.expose.type) -}}
{{- end -}}
{{- if and $v.metrics.serviceMonitor.enabled (not $v.networkPolicy.metricsFrom) (or $v.networkPolicy.ingressFrom (eq $v.expose.type "service")) -}}
{{- fail "metrics.serviceMonitor.enabled is set and the network policies let no Prometheus in: name its pods in networkPolicy.metricsFrom, as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" -}}
{{- end -}}
{{- end -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/part-of" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- $labels := dict "commonLabels" $v.commonLabels "proxy.podLabels" ($v.proxy).podLabels -}}
{{- range $name, $metrics := $v.metrics -}}
{{- $_ := set $labels (printf "metrics.%s.labels" $name) ($metrics).labels -}}
{{- end -}}
{{- range $name, $settings := $v.services -}}
{{- $_ := set $labels (printf "services.%s.podLabels" $name) ($settings).podLabels -}}
{{- end -}}
{{- range $where, $some := $labels -}}
{{- range $key, $_ := $some -}}
{{- if has $key $own -}}
{{- fail (printf "%s has %s, which is this chart's own: its pods are found by such labels; take it away" $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name, $settings := $v.services -}}
{{- if not (has $name (include "berth.services" $ | fromYamlArray)) -}}
{{- fail (printf "services.%s is no service: there are registry, catalog, sync, tasks, build and auth" $name) -}}
{{- end -}}
{{- if and (hasKey (default dict $settings) "enabled") (ne $name "build") -}}
{{- fail (printf "services.%s.enabled is set: only build can be switched off and on; take it away" $name) -}}
{{- end -}}
{{- $used := include "berth.settings" (dict "root" $ "service" $name) | fromYaml -}}
{{- $scaling := $used.autoscaling | default dict -}}
{{- if $scaling.enabled -}}
{{- $replicas := ($settings).replicas -}}
{{- if and $replicas (ne (int $replicas) (int $scaling.min)) -}}
{{- fail (printf "services.%s.replicas is %d and its autoscaling.min is %d: they say the same; take one of them away, or set autoscaling.enabled=false" $name (int $replicas) (int $scaling.min)) -}}
{{- end -}}
{{- if lt (int $scaling.max) (int $scaling.min) -}}
{{- fail (printf "services.%s.autoscaling.max is %d, and its least number of pods is %d: raise max, or set autoscaling.min" $name (int $scaling.max) (int $scaling.min)) -}}
{{- end -}}
{{- end -}}
{{- $mounts := and (ne $v.storage.type "s3") (not $v.demo) (not $v.storage.filesystem.existingClaim) (include "berth.holdsBlobs" (dict "root" $ "service" $name)) -}}
{{- if and $mounts (eq $v.storage.filesystem.accessMode "ReadWriteOnce") (include "berth.replicated" (dict "settings" $used)) -}}
{{- fail (printf "storage.filesystem.accessMode is ReadWriteOnce and services.%s has several pods, which run on several nodes: use ReadWriteMany or s3, or preset=small on one node" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}
