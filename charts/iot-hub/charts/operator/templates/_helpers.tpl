{{/* Every name of this chart begins with the release's; the longest that Kubernetes makes of one of them has to fit into 63 characters. */}}
{{- define "iot-hub-operator.fullname" -}}
{{- if gt (len .Release.Name) 37 -}}
{{- fail (printf "the release name %q has %d characters: choose one of at most 37, since Kubernetes names of 63 are made from it" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- printf "%s-operator" .Release.Name -}}
{{- end -}}

{{/* Names of what belongs to the whole cluster: two releases of one name may stand in two namespaces. */}}
{{- define "iot-hub-operator.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "iot-hub-operator.fullname" .) -}}
{{- end -}}

{{- define "iot-hub-operator.selectorLabels" -}}
app.kubernetes.io/name: operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* The labels of everything that is not selected by them: the component is given. */}}
{{- define "iot-hub-operator.commonLabels" -}}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "iot-hub-operator.labels" -}}
{{ include "iot-hub-operator.selectorLabels" . }}
{{ include "iot-hub-operator.commonLabels" . }}
{{- end -}}

{{- define "iot-hub-operator.hookLabels" -}}
app.kubernetes.io/name: operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: crds
{{ include "iot-hub-operator.commonLabels" . }}
{{- end -}}

{{/* A reference from an image's values and the root: (list .Values.image $). */}}
{{- define "iot-hub-operator.imageOf" -}}
{{- $image := index . 0 -}}
{{- $root := index . 1 -}}
{{- $global := dig "image" dict ($root.Values.global | default dict) -}}
{{- $repository := $image.repository -}}
{{- with $image.registry | default $global.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($image.tag | default $global.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-operator.pullPolicyOf" -}}
{{- $image := index . 0 -}}
{{- $root := index . 1 -}}
{{- $image.pullPolicy | default (dig "image" "pullPolicy" "" ($root.Values.global | default dict)) | default "IfNotPresent" -}}
{{- end -}}

{{- define "iot-hub-operator.namespaces" -}}
{{- if .Values.watchNamespaces -}}
{{- append .Values.watchNamespaces .Release.Namespace | uniq | sortAlpha | join "," -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-operator.kafkaProtocol" -}}
{{- .Values.kafka.securityProtocol | default (dig "externalKafka" "securityProtocol" "" (.Values.global | default dict)) -}}
{{- end -}}

{{/* The keys of its Secret that the operator uses: those that are named, else those that the protocol asks for. */}}
{{- define "iot-hub-operator.kafkaKeys" -}}
{{- $kafka := .Values.kafka -}}
{{- if $kafka.existingSecret -}}
{{- $usual := dict "SSL" (list "ca.crt") "SASL_PLAINTEXT" (list "username" "password") "SASL_SSL" (list "username" "password" "ca.crt") -}}
{{- $kafka.secretKeys | default (get $usual (include "iot-hub-operator.kafkaProtocol" .) | default list) | join "," -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-operator.kafkaFiles" -}}
{{- $files := list -}}
{{- range include "iot-hub-operator.kafkaKeys" . | splitList "," -}}
{{- if has . (list "ca.crt" "tls.crt" "tls.key") }}{{ $files = append $files (dict "key" . "path" .) }}{{ end -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}

{{/* The workers' Kafka, which they reach from any namespace: the hub's own, or the external one. */}}
{{- define "iot-hub-operator.kafkaEnv" -}}
{{- $external := dig "externalKafka" dict (.Values.global | default dict) -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ $external.bootstrapServers | default (printf "%s-kafka.%s.svc:9092" .Release.Name .Release.Namespace) | quote }}
{{- with include "iot-hub-operator.kafkaProtocol" . }}
- name: KAFKA_SECURITY_PROTOCOL
  value: {{ . }}
{{- end }}
{{- with .Values.kafka.saslMechanism }}
- name: KAFKA_SASL_MECHANISM
  value: {{ . }}
{{- end }}
{{- $keys := include "iot-hub-operator.kafkaKeys" . | splitList "," }}
{{- range $key, $variable := dict "username" "KAFKA_SASL_USERNAME" "password" "KAFKA_SASL_PASSWORD" }}
{{- if has $key $keys }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.kafka.existingSecret }}, key: {{ $key }}}}
{{- end }}
{{- end }}
{{- range $key, $variable := dict "ca.crt" "KAFKA_SSL_CA_LOCATION" "tls.crt" "KAFKA_SSL_CERTIFICATE_LOCATION" "tls.key" "KAFKA_SSL_KEY_LOCATION" }}
{{- if has $key $keys }}
- name: {{ $variable }}
  value: /etc/iot-hub/kafka/{{ $key }}
{{- end }}
{{- end }}
{{- with $external.properties }}
- name: KAFKA_PROPERTIES
  value: {{ toJson . | quote }}
{{- end }}
{{- end -}}

{{/* What the operator may do, in each namespace that it serves. Nothing on Secrets: pods refer to them, the kubelet reads them. */}}
{{- define "iot-hub-operator.rules" -}}
- apiGroups: [telemetry.iot-hub.io]
  resources: [telemetryconsumers]
  verbs: [list, watch]
- apiGroups: [telemetry.iot-hub.io]
  resources: [telemetryconsumers/status]
  verbs: [patch]
# Owner references that block deletion, where the cluster enforces who may write them.
- apiGroups: [telemetry.iot-hub.io]
  resources: [telemetryconsumers/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# Autoscaling, where KEDA is installed.
- apiGroups: [keda.sh]
  resources: [scaledobjects, triggerauthentications]
  verbs: [get, list, watch, create, patch, delete]
{{- end -}}
