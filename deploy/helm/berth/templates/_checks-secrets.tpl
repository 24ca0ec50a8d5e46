{{/* Refuses what cannot work of externalSecrets, with what to set. */}}
{{- define "berth.checkExternalSecrets" -}}
{{- $external := .Values.externalSecrets -}}
{{- if $external.enabled -}}
{{- $named := include "berth.namedSecrets" . | fromYaml -}}
{{- if not $external.storeRef.name -}}
{{- fail "externalSecrets.enabled is set and externalSecrets.storeRef.name is not: name the store that secrets come from, as {name: vault, kind: ClusterSecretStore}" -}}
{{- end -}}
{{- if empty $named -}}
{{- fail "externalSecrets.enabled is set and no value names a secret that it could make: set keys.existingSecret, auth.adminExistingSecret, postgresql.external.existingSecret, storage.s3.existingSecret or internalTLS.existingSecrets, or take it away" -}}
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

{{/* Refuses what cannot work of internalTLS, with what to set. */}}
{{- define "berth.checkInternalTls" -}}
{{- $tls := .Values.internalTLS -}}
{{- if $tls.enabled -}}
{{- $named := list -}}
{{- range $service, $secret := $tls.existingSecrets -}}{{- if $secret -}}{{- $named = append $named $service -}}{{- end -}}{{- end -}}
{{- $issuer := $tls.certManager.issuerRef -}}
{{- if and (not $issuer.name) (empty $named) -}}
{{- fail "internalTLS.enabled is set and nothing says where certificates come from: set internalTLS.certManager.issuerRef, as {name: internal, kind: ClusterIssuer}, or internalTLS.existingSecrets" -}}
{{- end -}}
{{- if and $issuer.name $named -}}
{{- fail "internalTLS.certManager.issuerRef and internalTLS.existingSecrets are both set: cert-manager makes the certificates, or you do; take one of them away" -}}
{{- end -}}
{{- range $service := include "berth.services" . | fromYamlArray -}}
{{- if and $named (not (has $service $named)) -}}
{{- fail (printf "internalTLS.existingSecrets.%s is not set: each of the six services needs one" $service) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
