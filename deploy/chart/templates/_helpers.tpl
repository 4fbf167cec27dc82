{{/* What names the objects. */}}
{{- define "bulkhead.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the serving certificate. That of cert-manager has a type and therefore a name of its own. */}}
{{- define "bulkhead.secret" -}}
{{- if eq .Values.certificates.mode "files" -}}
{{- .Values.certificates.files.secretName -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{- include "bulkhead.fullname" . }}-serving
{{- else -}}
{{- include "bulkhead.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{/* The issuer of the serving certificate; that of the release itself where none is given. */}}
{{- define "bulkhead.issuer" -}}
{{- $given := .Values.certificates.certManager.issuerRef -}}
{{- merge (dict) $given (dict "group" "cert-manager.io" "kind" "Issuer" "name" (include "bulkhead.fullname" .)) | toYaml -}}
{{- end -}}

{{/* What never changes in the life of a release: it is in the Deployment's selector. */}}
{{- define "bulkhead.selectorLabels" -}}
app.kubernetes.io/name: bulkhead
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bulkhead.labels" -}}
{{ include "bulkhead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/* The DNS names under which the API server calls. */}}
{{- define "bulkhead.dnsNames" -}}
{{- $host := printf "%s.%s.svc" (include "bulkhead.fullname" .) .Release.Namespace -}}
{{- list $host (printf "%s.cluster.local" $host) | toYaml -}}
{{- end -}}

{{/* The BulkheadConfig. Helm reads an unquoted Off as false; the action is meant. */}}
{{- define "bulkhead.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if kindIs "bool" (get $config "maximumAction") -}}
{{- $_ := set $config "maximumAction" "Off" -}}
{{- end -}}
{{- range $guardrail := values (default dict (get $config "guardrails")) -}}
{{- if kindIs "bool" (get $guardrail "action") -}}
{{- $_ := set $guardrail "action" "Off" -}}
{{- end -}}
{{- end -}}
{{- merge (dict "apiVersion" "bulkhead.dev/v1alpha1" "kind" "BulkheadConfig") $config | toYaml -}}
{{- end -}}

{{/* A generated file, with the names that this release has. */}}
{{- define "bulkhead.file" -}}
{{- $name := include "bulkhead.fullname" .root -}}
{{- .root.Files.Get .path | replace "$(NAMESPACE)" .root.Release.Namespace | replace "$(NAME)" $name
  | replace "$(SECRET)" (include "bulkhead.secret" .root) | replace "$(ISSUER)" (include "bulkhead.issuer" .root | fromYaml).name -}}
{{- end -}}

{{/* The rules of RBAC that the config asks for, by namespace; those for the whole cluster are under "". */}}
{{- define "bulkhead.rules" -}}
{{- $file := include "bulkhead.file" (dict "root" . "path" "files/rights.yaml") | fromYaml -}}
{{- $config := include "bulkhead.config" . | fromYaml -}}
{{- $guardrails := default dict (get $config "guardrails") -}}
{{- $judging := ne (get $config "maximumAction") "Off" -}}
{{- $granted := $file.always -}}
{{- if eq .Values.certificates.mode "selfSigned" -}}
{{- $granted = concat $granted $file.selfSigned -}}
{{- else if eq .Values.certificates.mode "certManager" -}}
{{- $granted = concat $granted $file.certManager -}}
{{- $issuer := include "bulkhead.issuer" . | fromYaml -}}
{{- if eq $issuer.group "cert-manager.io" -}}
{{- $granted = concat $granted (ternary $file.clusterIssuer $file.issuer (eq $issuer.kind "ClusterIssuer")) -}}
{{- end -}}
{{- end -}}
{{- range $need := $file.needs -}}
{{- $wanted := false -}}
{{- range $slug := $need.guardrails -}}
{{- $action := dig $slug "action" (get $file.defaultActions $slug) $guardrails -}}
{{- if and $judging (ne $action "Off") -}}
{{- $wanted = true -}}
{{- end -}}
{{- end -}}
{{- if $wanted -}}
{{- $granted = append $granted $need -}}
{{- end -}}
{{- end -}}
{{- $rules := dict -}}
{{- range $right := $granted -}}
{{- $_ := set $rules $right.namespace (append (default list (get $rules $right.namespace)) $right.rule) -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* GOMEMLIMIT: 86% of the memory limit, so that the garbage collector works hard before the kernel kills. */}}
{{- define "bulkhead.goMemoryLimit" -}}
{{- $limit := .Values.resources.limits.memory -}}
{{- $mebibytes := regexFind "^[0-9]+" $limit | int -}}
{{- if hasSuffix "Gi" $limit -}}
{{- $mebibytes = mul $mebibytes 1024 -}}
{{- end -}}
{{- div (mul $mebibytes 86) 100 -}}MiB
{{- end -}}
