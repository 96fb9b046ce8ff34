{{/* Every name of this chart begins with the release's; the longest that Kubernetes makes of one of them has to fit into 63 characters. */}}
{{- define "iot-hub-mqtt.fullname" -}}
{{- if gt (len .Release.Name) 37 -}}
{{- fail (printf "the release name %q has %d characters: choose one of at most 37, since Kubernetes names of 63 are made from it" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- printf "%s-mqtt" .Release.Name -}}
{{- end -}}

{{- define "iot-hub-mqtt.selectorLabels" -}}
app.kubernetes.io/name: mqtt
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end -}}

{{- define "iot-hub-mqtt.labels" -}}
{{ include "iot-hub-mqtt.selectorLabels" . }}
app.kubernetes.io/part-of: iot-hub
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "iot-hub-mqtt.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "iot-hub-mqtt.topics" -}}
{{- dig "mqtt" "topics" (list "telemetry/+") (.Values.global | default dict) | toJson -}}
{{- end -}}

{{- define "iot-hub-mqtt.readyTopic" -}}
{{- dig "mqtt" "readyTopic" "iot-hub/ingestion/ready" (.Values.global | default dict) -}}
{{- end -}}

{{- define "iot-hub-mqtt.devicesSecret" -}}
{{- dig "mqtt" "existingSecret" "" (.Values.global | default dict) | default (printf "%s-auth" (include "iot-hub-mqtt.fullname" .)) -}}
{{- end -}}

{{- define "iot-hub-mqtt.ingestionSecret" -}}
{{- dig "mqtt" "ingestionExistingSecret" "" (.Values.global | default dict) | default (printf "%s-ingestion" (include "iot-hub-mqtt.fullname" .)) -}}
{{- end -}}

{{/* The data of a Secret with an account: a given password, else the one that is in the cluster already, else a new one. */}}
{{- define "iot-hub-mqtt.account" -}}
{{- $stored := lookup "v1" "Secret" .namespace .secret -}}
username: {{ .account.username | b64enc }}
{{- if .account.password }}
password: {{ .account.password | b64enc }}
{{- else if dig "data" "password" "" $stored }}
password: {{ $stored.data.password }}
{{- else }}
password: {{ randAlphaNum 32 | b64enc }}
{{- end }}
{{- end -}}
