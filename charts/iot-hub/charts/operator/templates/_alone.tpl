{{/*
Two operators that serve one namespace would undo each other's work without end, each giving the workers its own image and
its own Kafka. So an install or upgrade looks for another release's operator first, by the roles that it has; a role whose
Deployment is gone is a leftover. `helm template` sees no cluster and so no operator.
*/}}
{{- define "iot-hub-operator.checkAlone" -}}
{{- $mine := include "iot-hub-operator.namespaces" . | splitList "," | compact -}}
{{- $roles := list -}}
{{- if $mine -}}
{{- range $mine -}}
{{- $roles = concat $roles (dig "items" list (lookup "rbac.authorization.k8s.io/v1" "Role" . "")) -}}
{{- end -}}
{{- else -}}
{{- $roles = concat $roles (dig "items" list (lookup "rbac.authorization.k8s.io/v1" "Role" "" "")) -}}
{{- end -}}
{{- /* Who may not make the CRD's hook may not look at ClusterRoles either. */ -}}
{{- if or (not $mine) .Values.crds.upgrade -}}
{{- $roles = concat $roles (dig "items" list (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "")) -}}
{{- end -}}
{{- range $role := $roles -}}
{{- $labels := $role.metadata.labels | default dict -}}
{{- $annotations := $role.metadata.annotations | default dict -}}
{{- $release := index $annotations "meta.helm.sh/release-name" | default "" -}}
{{- $namespace := index $annotations "meta.helm.sh/release-namespace" | default "" -}}
{{- $isOperator := and (eq (index $labels "app.kubernetes.io/part-of" | default "") "iot-hub") (eq (index $labels "app.kubernetes.io/component" | default "") "controller") -}}
{{- $isOurs := and (eq $release $.Release.Name) (eq $namespace $.Release.Namespace) -}}
{{- if and $isOperator $release (not $isOurs) -}}
{{- if lookup "apps/v1" "Deployment" $namespace (printf "%s-operator" $release) -}}
{{- $theirs := ternary "the whole cluster" (printf "the namespace %s" ($role.metadata.namespace | default "")) (eq $role.kind "ClusterRole") -}}
{{- $ours := ternary (join ", " $mine) "the whole cluster" (not (empty $mine)) -}}
{{- fail (printf "the operator of release %s in namespace %s serves %s already, this one is to serve %s, and two would undo each other's work: give each its own namespaces with operator.watchNamespaces, or leave this one out with operator.enabled=false" $release $namespace $theirs $ours) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
