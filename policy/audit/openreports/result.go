package openreports

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// The keys of a result's properties. PropertyID is the one by which Policy Reporter tells results apart; without it every
// changed number in a message would be a new result to it.
const (
	PropertyID        = "resultID"
	PropertyAction    = "action"
	PropertyField     = "field"
	PropertyAffected  = "affected"
	PropertyWouldDeny = "wouldDeny"
)

const (
	// category is the same for all: what Bulkhead judges is one subject.
	category = "Network Policy"
	// longest is how much of a text a result holds, in bytes.
	longest = 1024
	// mostAffected is how many workloads a result names.
	mostAffected = 10
)

// Identities gives for each finding what identifies it among those of its namespace, in every report and whatever its
// message says. Findings that share guardrail, object and field are numbered in their order.
func Identities(findings []audit.Finding) []string {
	out := make([]string, len(findings))
	seen := map[string]int{}
	for i := range findings {
		f := &findings[i]
		key := strings.Join([]string{f.Guardrail, f.Kind, f.Owner, f.Name, f.Field}, "\x00")
		seen[key]++
		sum := sha256.Sum256([]byte(key + "\x00" + strconv.Itoa(seen[key])))
		out[i] = hex.EncodeToString(sum[:8])
	}
	return out
}

// FailureIdentity gives what identifies the result about a guardrail that could not be evaluated.
func FailureIdentity(f policy.Failure) string { return f.Guardrail + "-failed" }

// result writes a finding.
func result(namespace, id string, f *audit.Finding, since Since) v1alpha1.ReportResult {
	out := v1alpha1.ReportResult{
		Source: Source, Policy: f.Guardrail, Rule: f.Kind, Category: category, Severity: severity(f.Action),
		Timestamp: metav1.Timestamp{Seconds: since(id).Unix()}, Result: outcome(f.Action), Scored: f.Action == config.Deny,
		Subjects: subjects(namespace, f), Description: text(f.Detail), Properties: map[string]string{
			PropertyID: id, PropertyAction: string(f.Action),
		},
	}
	if f.Field != "" {
		out.Properties[PropertyField] = text(f.Field)
	}
	if f.WouldDeny {
		out.Properties[PropertyWouldDeny] = "true"
	}
	if names := affected(f.Affected); names != "" {
		out.Properties[PropertyAffected] = text(names)
	}
	return out
}

// failure writes that a guardrail could not be evaluated. Why is in the log: it may quote other namespaces.
func failure(f policy.Failure, since Since) v1alpha1.ReportResult {
	id := FailureIdentity(f)
	return v1alpha1.ReportResult{
		Source: Source, Policy: f.Guardrail, Category: category, Result: resultError, Severity: severityMedium,
		Timestamp:   metav1.Timestamp{Seconds: since(id).Unix()},
		Description: "the guardrail could not be evaluated; Bulkhead's log says why", Properties: map[string]string{PropertyID: id},
	}
}

// The values that the API allows; its Go package has types for them and no constants.
const (
	resultFail  v1alpha1.Result = "fail"
	resultWarn  v1alpha1.Result = "warn"
	resultError v1alpha1.Result = "error"

	severityHigh   v1alpha1.ResultSeverity = "high"
	severityMedium v1alpha1.ResultSeverity = "medium"
)

func outcome(a config.Action) v1alpha1.Result {
	if a == config.Deny {
		return resultFail
	}
	return resultWarn
}

func severity(a config.Action) v1alpha1.ResultSeverity {
	if a == config.Deny {
		return severityHigh
	}
	return severityMedium
}

// subjects names the object: of pods what made them. A finding about the cluster is about none.
func subjects(namespace string, f *audit.Finding) []corev1.ObjectReference {
	kind := f.Kind
	if f.Owner != "" {
		kind = f.Owner
	}
	if kind == "" || f.Name == "" {
		return nil
	}
	return []corev1.ObjectReference{{APIVersion: apiVersion(kind), Kind: kind, Namespace: namespace, Name: f.Name}}
}

// apiVersion gives the version of the kinds that are judged.
func apiVersion(kind string) string {
	switch kind {
	case "NetworkPolicy":
		return "networking.k8s.io/v1"
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		return "apps/v1"
	case "Job", "CronJob":
		return "batch/v1"
	}
	return "v1"
}

// affected lists the workloads that a finding hits.
func affected(list []policy.Affected) string {
	var names []string
	for i, a := range list {
		if i == mostAffected {
			names = append(names, fmt.Sprintf("+%d", len(list)-i))
			break
		}
		if a.Pods > 0 {
			names = append(names, fmt.Sprintf("%s (%s)", a.Name, policy.Plural(a.Pods, "pod")))
		} else {
			names = append(names, a.Name)
		}
	}
	return strings.Join(names, ", ")
}

// text makes words of the cluster safe to show and keeps them short: what does not print is escaped.
func text(s string) string {
	if !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		s = strconv.QuoteToGraphic(s)
		s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	}
	if len(s) <= longest {
		return s
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
