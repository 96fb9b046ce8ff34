{{/* Every name of this chart begins with the release's; the longest that Kubernetes makes of one of them has to fit into 63 characters. */}}
{{- define "iot-hub-kafka.fullname" -}}
{{- if gt (len .Release.Name) 37 -}}
{{- fail (printf "the release name %q has %d characters: choose one of at most 37, since Kubernetes names of 63 are made from it" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- printf "%s-kafka" .Release.Name -}}
{{- end -}}

{{- define "iot-hub-kafka.selectorLabels" -}}
app.kubernetes.io/name: kafka
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end -}}

{{- define "iot-hub-kafka.labels" -}}
{{ include "iot-hub-kafka.selectorLabels" . }}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "iot-hub-kafka.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
Sixteen characters in base64 are the 22 that Kafka takes as a cluster's id. Made from what names this installation, not at
random: `helm template`, an upgrade, and a new install over kept volumes all come to the same id.
*/}}
{{- define "iot-hub-kafka.clusterId" -}}
{{- if .Values.clusterId -}}
{{- .Values.clusterId -}}
{{- else -}}
{{- printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 16 | b64enc | trimSuffix "==" -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-kafka.voters" -}}
{{- $name := include "iot-hub-kafka.fullname" . -}}
{{- $voters := list -}}
{{- range $id := until (int .Values.replicas) -}}
{{- $voters = append $voters (printf "%d@%s-%d.%s-headless.%s.svc:9093" $id $name $id $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $voters -}}
{{- end -}}

{{/*
What all nodes have in common; each adds its id and its address at start. Groups of KIP-848 hear of a rebalance with
their heartbeat, which the broker times: at Kafka's own 5 s, a partition that moves waits as long.
*/}}
{{- define "iot-hub-kafka.properties" -}}
{{- $copies := toString .Values.replicas -}}
{{- $inSync := ternary "2" "1" (eq (int .Values.replicas) 3) -}}
{{- $properties := dict
  "process.roles" "broker,controller"
  "controller.quorum.voters" (include "iot-hub-kafka.voters" .)
  "controller.listener.names" "CONTROLLER"
  "listeners" "PLAINTEXT://:9092,CONTROLLER://:9093"
  "listener.security.protocol.map" "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
  "inter.broker.listener.name" "PLAINTEXT"
  "log.dirs" "/var/lib/kafka/data/kraft"
  "auto.create.topics.enable" "false"
  "default.replication.factor" $copies
  "min.insync.replicas" $inSync
  "offsets.topic.replication.factor" $copies
  "group.consumer.heartbeat.interval.ms" "1000"
  "group.consumer.min.heartbeat.interval.ms" "1000"
  "offsets.retention.minutes" (mul (int64 .Values.offsetsRetentionDays) 1440 | toString)
  "transaction.state.log.replication.factor" $copies
  "transaction.state.log.min.isr" $inSync
  "share.coordinator.state.topic.replication.factor" $copies
  "share.coordinator.state.topic.min.isr" $inSync
  "message.max.bytes" "1114112"
  "replica.fetch.max.bytes" "11534336"
-}}
{{- if .Values.forwarding.enabled -}}
{{- /* On loopback: what a port-forward ends at, and no other pod reaches. */ -}}
{{- $_ := set $properties "listeners" (printf "%s,FORWARDED://127.0.0.1:19092" (index $properties "listeners")) -}}
{{- $_ := set $properties "listener.security.protocol.map" (printf "%s,FORWARDED:PLAINTEXT" (index $properties "listener.security.protocol.map")) -}}
{{- end -}}
{{- range $property, $value := .Values.config -}}
{{- $_ := set $properties $property (kindIs "float64" $value | ternary (int64 $value) $value | toString) -}}
{{- end -}}
{{- range $property, $value := $properties }}
{{ $property }}={{ $value }}
{{- end }}
{{- end -}}
