{{/* The topics file: {"topics": [{"name", "partitions", "replicationFactor", "configs"}]}. */}}
{{- define "iot-hub.topicsFile" -}}
{{- $copies := .Values.topics.replicationFactor -}}
{{- if not $copies -}}
{{- $copies = ternary .Values.kafka.replicas 3 .Values.kafka.enabled -}}
{{- end -}}
{{- $topics := list -}}
{{- range $name, $topic := .Values.topics.list -}}
{{- if $topic -}}
{{- $configs := dict "min.insync.replicas" (ternary "2" "1" (ge (int $copies) 3)) -}}
{{- range $key, $value := $topic.configs -}}
{{- $_ := set $configs $key (kindIs "float64" $value | ternary (int64 $value) $value | toString) -}}
{{- end -}}
{{- $topics = append $topics (dict "name" $name "partitions" (int $topic.partitions) "replicationFactor" (int $copies) "configs" $configs) -}}
{{- end -}}
{{- end -}}
{{- dict "topics" $topics | toPrettyJson -}}
{{- end -}}

{{/*
The Job's pod, which Kubernetes lets nobody change: (list NAME $). The name of the Job carries a hash of all this and of the
file, so that a change makes another Job, and an upgrade without one leaves the finished Job in peace.
*/}}
{{- define "iot-hub.topicsPod" -}}
{{- $name := index . 0 -}}
{{- with index . 1 -}}
restartPolicy: OnFailure
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: topics
    image: {{ include "iot-hub.workerImage" . }}
    imagePullPolicy: {{ include "iot-hub.workerPullPolicy" . }}
    command: [python, -m, topics, /etc/iot-hub/topics.json]
    env:
      {{- include "iot-hub.kafkaEnv" . | nindent 6 }}
      - name: KAFKA_CLIENT_ID
        value: {{ .Release.Name }}-topics
      - name: TOPICS_WAIT_SECONDS
        value: {{ .Values.topics.waitSeconds | quote }}
      - name: LOG_FORMAT
        value: json
    resources: {{- toYaml .Values.topics.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
      - name: topics
        mountPath: /etc/iot-hub
        readOnly: true
volumes:
  - name: topics
    configMap:
      name: {{ $name }}
{{- end -}}
{{- end -}}
