{{/* A Job's name has the digest of what it does, for a Job cannot be changed: another release or other settings make another one. */}}
{{- define "berth.keysJob" -}}
{{- $scope := dict "root" . "component" "keys" -}}
backoffLimit: 6
template:
  metadata:
    labels: {{- include "berth.labels" $scope | nindent 6 }}
    # It writes the users of NATS: where they may do something else it has to run, also under the same version and tag.
    annotations: {berth/nats-rights: {{ include "berth.natsRights" . | quote }}}
  spec:
    restartPolicy: OnFailure
    serviceAccountName: {{ include "berth.fullname" . }}-keys
    automountServiceAccountToken: true
    enableServiceLinks: false
    securityContext: {{- include "berth.podSecurity" dict | nindent 6 }}
    {{- include "berth.placement" $scope | nindent 4 }}
    containers:
      - name: keys
        image: {{ include "berth.image" (dict "root" . "name" "berth") }}
        imagePullPolicy: {{ .Values.imagePullPolicy }}
        args: [secrets, --kubernetes, {{ include "berth.fullname" . }}-keys]
        resources: {{- toYaml .Values.migrations.resources | nindent 10 }}
        securityContext: {{- include "berth.containerSecurity" dict | nindent 10 }}
        volumeMounts: [{name: tmp, mountPath: /tmp}]
    volumes: [{name: tmp, emptyDir: {medium: Memory}}]
{{- end }}

{{- define "berth.migrateJob" -}}
{{- $scope := dict "root" . "component" "migrate" -}}
backoffLimit: {{ .Values.migrations.backoffLimit }}
template:
  metadata:
    labels: {{- include "berth.labels" $scope | nindent 6 }}
  spec:
    restartPolicy: OnFailure
    serviceAccountName: {{ include "berth.fullname" . }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    securityContext: {{- include "berth.podSecurity" dict | nindent 6 }}
    {{- include "berth.placement" $scope | nindent 4 }}
    containers:
      - name: migrate
        image: {{ include "berth.image" (dict "root" . "name" "berth") }}
        imagePullPolicy: {{ .Values.imagePullPolicy }}
        args: [migrate]
        env:
          {{- include "berth.databaseEnvironment" (dict "root" . "migrates" true) | nindent 10 }}
          {{- if and (not .Values.demo) .Values.postgresql.external.migrationUser }}
          {{- include "berth.secretVariable" (dict "name" "BERTH_DATABASE_ROLE" "secret" .Values.postgresql.external.existingSecret "key" "username") | nindent 10 }}
          {{- end }}
          {{- if .Values.extraCaCerts.existingConfigMap }}
          - {name: NODE_EXTRA_CA_CERTS, value: /etc/berth/ca.crt}
          {{- end }}
        resources: {{- toYaml .Values.migrations.resources | nindent 10 }}
        securityContext: {{- include "berth.containerSecurity" dict | nindent 10 }}
        volumeMounts:
          - {name: tmp, mountPath: /tmp}
          {{- if .Values.extraCaCerts.existingConfigMap }}
          - {name: ca, mountPath: /etc/berth, readOnly: true}
          {{- end }}
    volumes:
      - {name: tmp, emptyDir: {}}
      {{- with .Values.extraCaCerts.existingConfigMap }}
      - {name: ca, configMap: {name: {{ . | quote }}}}
      {{- end }}
{{- end }}
