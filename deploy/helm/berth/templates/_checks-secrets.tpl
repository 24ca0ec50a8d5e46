{{/* Refuses what cannot work of externalSecrets, with what to set. */}}
{{- define "berth.checkExternalSecrets" -}}
{{- $external := .Values.externalSecrets -}}
{{- if $external.enabled -}}
{{- $named := include "berth.namedSecrets" . | fromYaml -}}
{{- if not $external.storeRef.name -}}
{{- fail "externalSecrets.enabled is set and externalSecrets.storeRef.name is not: name the store that secrets come from, as {name: vault, kind: ClusterSecretStore}" -}}
{{- end -}}
{{- if empty $named -}}
{{- fail "externalSecrets.enabled is set and no value names a secret that it could make: set keys.existingSecret, auth.adminExistingSecret, postgresql.external.existingSecret or storage.s3.existingSecret, or take it away" -}}
{{- end -}}
{{- range $name, $_ := $external.remoteKeys -}}
{{- if not (hasKey $named $name) -}}
{{- fail (printf "externalSecrets.remoteKeys has %s, and no value names a secret like that: the names are %s" $name (keys $named | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- $made := include "berth.keysSecret" . -}}
{{- if and (not .Values.keys.existingSecret) (hasKey $named $made) -}}
{{- fail (printf "%s is %s, which a Job of this chart makes, and so would externalSecrets: name another secret there, or set keys.existingSecret=%s" (index $named $made) $made $made) -}}
{{- end -}}
{{- end -}}
{{- end }}
