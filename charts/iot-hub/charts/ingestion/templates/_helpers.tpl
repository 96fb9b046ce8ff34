{{/* Every name of this chart begins with the release's; the longest that Kubernetes makes of one of them has to fit into 63 characters. */}}
{{- define "iot-hub-ingestion.mqttName" -}}
{{- if gt (len .Release.Name) 37 -}}
{{- fail (printf "the release name %q has %d characters: choose one of at most 37, since Kubernetes names of 63 are made from it" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- printf "%s-ingestion-mqtt" .Release.Name -}}
{{- end -}}

{{- define "iot-hub-ingestion.httpName" -}}
{{- include "iot-hub-ingestion.mqttName" . | trimSuffix "mqtt" -}}http
{{- end -}}

{{- define "iot-hub-ingestion.mqttSelectorLabels" -}}
app.kubernetes.io/name: ingestion
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: mqtt
{{- end -}}

{{- define "iot-hub-ingestion.mqttLabels" -}}
{{ include "iot-hub-ingestion.mqttSelectorLabels" . }}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "iot-hub-ingestion.httpSelectorLabels" -}}
app.kubernetes.io/name: ingestion
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: http
{{- end -}}

{{- define "iot-hub-ingestion.httpLabels" -}}
{{ include "iot-hub-ingestion.httpSelectorLabels" . }}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The Secret with the file of the API keys' hashes. */}}
{{- define "iot-hub-ingestion.httpKeysSecret" -}}
{{- .Values.http.existingSecret | default (printf "%s-keys" (include "iot-hub-ingestion.httpName" .)) -}}
{{- end -}}

{{- define "iot-hub-ingestion.image" -}}
{{- $global := dig "image" dict (.Values.global | default dict) -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry | default $global.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default $global.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-ingestion.pullPolicy" -}}
{{- .Values.image.pullPolicy | default (dig "image" "pullPolicy" "" (.Values.global | default dict)) | default "IfNotPresent" -}}
{{- end -}}

{{/* How it reaches Kafka: the hub's own, or the external one. */}}
{{- define "iot-hub-ingestion.kafkaEnv" -}}
{{- $external := dig "externalKafka" dict (.Values.global | default dict) -}}
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

{{/* How it reaches the MQTT broker. An external one may be open to anyone; the hub's own never is. */}}
{{- define "iot-hub-ingestion.mqttEnv" -}}
{{- $global := .Values.global | default dict -}}
{{- $external := dig "externalMqtt" dict $global -}}
{{- $secret := dig "mqtt" "ingestionExistingSecret" "" $global | default (printf "%s-mqtt-ingestion" .Release.Name) -}}
{{- if $external.host }}{{ $secret = $external.existingSecret }}{{ end -}}
- name: MQTT_HOST
  value: {{ $external.host | default (printf "%s-mqtt-internal.%s.svc" .Release.Name .Release.Namespace) | quote }}
- name: MQTT_PORT
  value: {{ ternary ($external.port | default 1883) 1884 (not (empty $external.host)) | int | quote }}
{{- with $secret }}
- name: MQTT_USERNAME
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: username}
- name: MQTT_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: password}
{{- end }}
- name: MQTT_TOPICS
  value: {{ dig "mqtt" "topics" (list "telemetry/+") $global | join "," | quote }}
- name: MQTT_READY_TOPIC
  value: {{ dig "mqtt" "readyTopic" "iot-hub/ingestion/ready" $global | quote }}
{{- end -}}

{{/* Where the hub's own broker, or another one, says how many messages it holds. */}}
{{- define "iot-hub-ingestion.storedTopicEnv" -}}
{{- $own := not (dig "externalMqtt" "host" "" (.Values.global | default dict)) -}}
{{- with .Values.mqtt.storedTopic | default (ternary "$SYS/broker/store/messages/count" "" $own) -}}
- name: MQTT_STORED_TOPIC
  value: {{ . | quote }}
{{- end -}}
{{- end -}}

{{/* How the connection to the MQTT broker is made, where it is not the hub's own, which is spoken to in the usual way. */}}
{{- define "iot-hub-ingestion.mqttConnectionEnv" -}}
{{- $mqtt := .Values.mqtt -}}
{{- $secrets := or $mqtt.tls.caSecret $mqtt.tls.clientSecret -}}
{{- if and $secrets (not $mqtt.tls.enabled) -}}
{{- fail "ingestion.mqtt.tls names a Secret and is not enabled: set ingestion.mqtt.tls.enabled=true" -}}
{{- end -}}
{{- if and (or $mqtt.tls.enabled (ne $mqtt.transport "tcp")) (not (dig "externalMqtt" "host" "" (.Values.global | default dict))) -}}
{{- fail "ingestion.mqtt.tls and transport are for another broker than the hub's own, which ingestion reaches within the cluster: set global.externalMqtt.host, or leave them out" -}}
{{- end -}}
- name: MQTT_PROTOCOL
  value: {{ $mqtt.protocol | quote }}
- name: MQTT_TRANSPORT
  value: {{ $mqtt.transport }}
{{- if eq $mqtt.transport "websockets" }}
- name: MQTT_WEBSOCKET_PATH
  value: {{ $mqtt.websocketPath | quote }}
{{- end }}
{{- if $mqtt.tls.enabled }}
- name: MQTT_TLS
  value: "true"
{{- end }}
{{- if $mqtt.tls.caSecret }}
- name: MQTT_TLS_CA
  value: /etc/iot-hub/mqtt-ca/ca.crt
{{- end }}
{{- if $mqtt.tls.clientSecret }}
- name: MQTT_TLS_CERT
  value: /etc/iot-hub/mqtt-client/tls.crt
- name: MQTT_TLS_KEY
  value: /etc/iot-hub/mqtt-client/tls.key
{{- end }}
{{- end -}}
