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
{{- $config := include "bulkhead.config" . | fromYaml -}}
{{- if .Values.denials.enabled -}}
{{- $granted = concat $granted $file.denials -}}
{{- end -}}
{{- if dig "events" "decisions" (list) $config -}}
{{- $granted = concat $granted $file.events -}}
{{- end -}}
{{- include "bulkhead.byNamespace" (concat $granted (include "bulkhead.needs" . | fromYamlArray)) -}}
{{- end -}}

{{/* What the guardrails read besides that the config does not switch off. */}}
{{- define "bulkhead.needs" -}}
{{- $file := include "bulkhead.file" (dict "root" . "path" "files/rights.yaml") | fromYaml -}}
{{- $config := include "bulkhead.config" . | fromYaml -}}
{{- $guardrails := default dict (get $config "guardrails") -}}
{{- $judging := ne (get $config "maximumAction") "Off" -}}
{{- $granted := list -}}
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
{{- toYaml $granted -}}
{{- end -}}

{{/* Rights as rules of RBAC by namespace. */}}
{{- define "bulkhead.byNamespace" -}}
{{- $rules := dict -}}
{{- range $right := . -}}
{{- $_ := set $rules $right.namespace (append (default list (get $rules $right.namespace)) $right.rule) -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{/* The same as bulkhead.rules for the audit. */}}
{{- define "bulkhead.auditRules" -}}
{{- $file := include "bulkhead.file" (dict "root" . "path" "files/rights.yaml") | fromYaml -}}
{{- $granted := $file.audit -}}
{{- if .Values.audit.reports -}}
{{- $granted = concat $granted $file.auditReports -}}
{{- end -}}
{{- if .Values.audit.console.enabled -}}
{{- $granted = concat $granted $file.console -}}
{{- end -}}
{{- if include "bulkhead.consoleSecret" . -}}
{{- $granted = concat $granted $file.consoleAuth -}}
{{- end -}}
{{- include "bulkhead.byNamespace" (concat $granted (include "bulkhead.needs" . | fromYamlArray)) -}}
{{- end -}}

{{/* GOMEMLIMIT: 86% of the memory limit, so that the garbage collector works hard before the kernel kills. */}}
{{- define "bulkhead.goMemoryLimit" -}}
{{- include "bulkhead.memoryOf" .Values.resources.limits.memory -}}
{{- end -}}

{{- define "bulkhead.memoryOf" -}}
{{- $limit := . -}}
{{- $mebibytes := regexFind "^[0-9]+" $limit | int -}}
{{- if hasSuffix "Gi" $limit -}}
{{- $mebibytes = mul $mebibytes 1024 -}}
{{- end -}}
{{- div (mul $mebibytes 86) 100 -}}MiB
{{- end -}}

{{/* Where calls may go. */}}
{{- define "bulkhead.egress" -}}
# DNS, for clusters that name their API server by a host name.
- ports:
  - port: 53
    protocol: UDP
  - port: 53
    protocol: TCP
- ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - port: {{ . }}
    protocol: TCP
  {{- end }}
  {{- with .Values.networkPolicy.apiServerRanges }}
  to:
  {{- range . }}
  - ipBlock: {cidr: {{ quote . }}}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* The audit's pods are none of the webhook's: their name is another one. */}}
{{- define "bulkhead.auditSelectorLabels" -}}
app.kubernetes.io/name: bulkhead-audit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bulkhead.auditLabels" -}}
{{ include "bulkhead.labels" . }}
app.kubernetes.io/component: audit
{{- end -}}

{{/* The Secret of the console's certificate; empty where there is no console, or one on loopback alone. */}}
{{- define "bulkhead.consoleSecret" -}}
{{- if and .Values.audit.enabled .Values.audit.console.enabled -}}
{{- .Values.audit.console.certificateSecret -}}
{{- end -}}
{{- end -}}
