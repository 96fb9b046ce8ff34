{{/* Every name of this chart begins with the release's; the longest that Kubernetes makes of one of them has to fit into 63 characters. */}}
{{- define "iot-hub-kafka-ui.fullname" -}}
{{- if gt (len .Release.Name) 37 -}}
{{- fail (printf "the release name %q has %d characters: choose one of at most 37, since Kubernetes names of 63 are made from it" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- printf "%s-kafka-ui" .Release.Name -}}
{{- end -}}

{{- define "iot-hub-kafka-ui.selectorLabels" -}}
app.kubernetes.io/name: kafka-ui
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: ui
{{- end -}}

{{- define "iot-hub-kafka-ui.labels" -}}
{{ include "iot-hub-kafka-ui.selectorLabels" . }}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "iot-hub-kafka-ui.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-kafka-ui.secret" -}}
{{- .Values.auth.existingSecret | default (include "iot-hub-kafka-ui.fullname" .) -}}
{{- end -}}

{{/* How it reaches Kafka: the hub's own, or the external one. global.externalKafka.properties are librdkafka's, which Java does not know. */}}
{{- define "iot-hub-kafka-ui.kafkaEnv" -}}
{{- $external := dig "externalKafka" dict (.Values.global | default dict) -}}
- name: KAFKA_CLUSTERS_0_NAME
  value: {{ .Values.clusterName | quote }}
- name: KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS
  value: {{ $external.bootstrapServers | default (printf "%s-kafka.%s.svc:9092" .Release.Name .Release.Namespace) | quote }}
{{- with $external.securityProtocol }}
- name: KAFKA_CLUSTERS_0_PROPERTIES_SECURITY_PROTOCOL
  value: {{ . }}
{{- end }}
{{- range $property, $value := .Values.properties }}
- name: KAFKA_CLUSTERS_0_PROPERTIES_{{ $property | replace "." "_" | upper }}
  value: {{ $value | quote }}
{{- end }}
{{- if .Values.readOnly }}
- name: KAFKA_CLUSTERS_0_READONLY
  value: "true"
{{- end }}
{{- end -}}
