{{/* Every name of this chart begins with the release's; the longest that Kubernetes makes of one of them has to fit into 63 characters. */}}
{{- define "iot-hub.name" -}}
{{- if gt (len .Release.Name) 37 -}}
{{- fail (printf "the release name %q has %d characters: choose one of at most 37, since Kubernetes names of 63 are made from it" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- .Release.Name -}}
{{- end -}}

{{/* Labels of a part of this chart itself: (list "topics" $). */}}
{{- define "iot-hub.labels" -}}
{{- $component := index . 0 -}}
{{- with index . 1 -}}
app.kubernetes.io/name: iot-hub
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ $component }}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
{{- end -}}

{{/* Whether `helm test` can send a reading all the way: its pod speaks plain MQTT, and neither TLS nor websockets. */}}
{{- define "iot-hub.canTest" -}}
{{- $mqtt := .Values.ingestion.mqtt -}}
{{- if and .Values.ingestion.enabled .Values.validator.enabled .Values.operator.enabled (not $mqtt.tls.enabled) (eq $mqtt.transport "tcp") -}}
true
{{- end -}}
{{- end -}}

{{- define "iot-hub.workerImage" -}}
{{- $image := .Values.workerImage -}}
{{- $global := .Values.global.image -}}
{{- $repository := $image.repository -}}
{{- with $image.registry | default $global.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($image.tag | default $global.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub.workerPullPolicy" -}}
{{- .Values.workerImage.pullPolicy | default .Values.global.image.pullPolicy | default "IfNotPresent" -}}
{{- end -}}

{{- define "iot-hub.kafkaEnv" -}}
{{- $external := .Values.global.externalKafka -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ $external.bootstrapServers | default (printf "%s-kafka.%s.svc:9092" .Release.Name .Release.Namespace) | quote }}
{{- with $external.securityProtocol }}
- name: KAFKA_SECURITY_PROTOCOL
  value: {{ . }}
{{- end }}
{{- with $external.properties }}
- name: KAFKA_PROPERTIES
  value: {{ toJson . | quote }}
{{- end }}
{{- end -}}

{{/* What can only be seen with all values side by side. */}}
{{- define "iot-hub.check" -}}
{{- $kafka := .Values.global.externalKafka.bootstrapServers -}}
{{- $mqtt := .Values.global.externalMqtt.host -}}
{{- if and .Values.kafka.enabled $kafka -}}
{{- fail (printf "global.externalKafka.bootstrapServers is %s and kafka.enabled is true: set kafka.enabled=false to use the external Kafka, or leave bootstrapServers empty" $kafka) -}}
{{- end -}}
{{- if and (not .Values.kafka.enabled) (not $kafka) -}}
{{- fail "kafka.enabled is false and there is no other Kafka: set global.externalKafka.bootstrapServers=HOST:PORT" -}}
{{- end -}}
{{- if and .Values.mqtt.enabled $mqtt -}}
{{- fail (printf "global.externalMqtt.host is %s and mqtt.enabled is true: set mqtt.enabled=false to use the external broker, or leave host empty" $mqtt) -}}
{{- end -}}
{{- if and .Values.ingestion.enabled (not .Values.mqtt.enabled) (not $mqtt) -}}
{{- fail "mqtt.enabled is false and there is no other broker: set global.externalMqtt.host, or ingestion.enabled=false too" -}}
{{- end -}}
{{- end -}}
