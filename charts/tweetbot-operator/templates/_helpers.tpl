{{- define "tweetbot-operator.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-operator" .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "tweetbot-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tweetbot-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "tweetbot-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Labels of what a Prometheus Operator reads. */}}
{{- define "tweetbot-operator.monitoringLabels" -}}
{{ include "tweetbot-operator.labels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name of the Secret with the server's certificate. */}}
{{- define "tweetbot-operator.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "tweetbot-operator.fullname" .)) -}}
{{- end }}

{{/* Host name that trainers reach the operator by, as its certificate has it. */}}
{{- define "tweetbot-operator.host" -}}
{{ include "tweetbot-operator.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{/* An image, with the chart's appVersion as its tag if it has neither tag nor digest. Takes (list $ image). */}}
{{- define "tweetbot-operator.image" -}}
{{- $image := index . 1 -}}
{{- if regexMatch "[:@]" (base $image) -}}
{{ $image }}
{{- else -}}
{{ $image }}:{{ (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The settings file, as OperatorSettings in settings.py reads it. */}}
{{- define "tweetbot-operator.settings" -}}
images:
  prepare: {{ include "tweetbot-operator.image" (list . .Values.images.prepare) | quote }}
  train: {{ include "tweetbot-operator.image" (list . .Values.images.train) | quote }}
  pullPolicy: {{ .Values.images.pullPolicy }}
  pullSecrets: {{ toJson .Values.images.pullSecrets }}
server:
  url: https://{{ include "tweetbot-operator.host" . }}:8443
  port: 8443
  tlsDir: /etc/tweetbot/tls
  healthPort: 8080
namespaces: {{ toJson .Values.namespaces }}
defaults:
  {{- toYaml .Values.defaults | nindent 2 }}
batching:
  maxBots: {{ int .Values.batching.maxBots }}
  maxTokens: {{ int .Values.batching.maxTokens }}
  windowSeconds: {{ int .Values.batching.windowSeconds }}
  maxWaitSeconds: {{ int .Values.batching.maxWaitSeconds }}
  maxWaitingJobs: {{ int .Values.batching.maxWaitingJobs }}
sources: {{ toJson .Values.sources }}
retryPauseSeconds: {{ int .Values.retryPauseSeconds }}
maxPreemptions: {{ int .Values.maxPreemptions }}
heartbeatTimeoutSeconds: {{ int .Values.heartbeatTimeoutSeconds }}
apiRequestsPerSecond: {{ .Values.apiRequestsPerSecond }}
lease: {namespace: {{ .Release.Namespace }}, name: {{ include "tweetbot-operator.fullname" . }}}
workers: {{ int .Values.workers }}
{{- end }}
