package openreports

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

func finding(slug string, action config.Action, kind, name, field, detail string) audit.Finding {
	return audit.Finding{
		Finding: policy.Finding{Guardrail: slug, Action: action, Violation: policy.Violation{Field: field, Detail: detail}}, Kind: kind, Name: name,
	}
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestReport(t *testing.T) {
	pods := finding("label-not-in-template", config.Warn, "Pod", "api", "metadata.labels", "label tier=be is not in the template")
	pods.Owner, pods.Pods = "Deployment", 3
	denied := finding("dns-cut", config.Deny, "NetworkPolicy", "deny", "spec.egress", "no rules")
	denied.WouldDeny, denied.Affected = true, []policy.Affected{{Name: "api", Pods: 3}, {Name: "deployment/web"}}
	n := &audit.Namespace{
		Name:     "shop",
		Findings: []audit.Finding{pods, denied, finding("cni-inert", config.Audit, "NetworkPolicy", "deny", "", "only counted")},
		Failures: []policy.Failure{{Guardrail: "endport", Err: errors.New("panic: secret of another namespace")}},
	}
	ids := Identities(n.Findings)
	got := Namespace(n, At(noon))
	want := &v1alpha1.Report{
		TypeMeta:   metav1.TypeMeta{APIVersion: "openreports.io/v1alpha1", Kind: "Report"},
		ObjectMeta: metav1.ObjectMeta{Name: "bulkhead", Namespace: "shop", Labels: map[string]string{"app.kubernetes.io/managed-by": "bulkhead"}},
		Source:     "bulkhead", Scope: &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: "shop"},
		Summary: v1alpha1.ReportSummary{Fail: 1, Warn: 1, Error: 1}, Configuration: limits(),
		Results: []v1alpha1.ReportResult{
			{
				Source: "bulkhead", Policy: "endport", Category: "Network Policy", Severity: "medium", Result: "error",
				Timestamp: metav1.Timestamp{Seconds: noon.Unix()}, Description: "the guardrail could not be evaluated; Bulkhead's log says why",
				Properties: map[string]string{"resultID": "endport-failed"},
			},
			{
				Source: "bulkhead", Policy: "dns-cut", Rule: "NetworkPolicy", Category: "Network Policy", Severity: "high", Result: "fail", Scored: true,
				Timestamp: metav1.Timestamp{Seconds: noon.Unix()}, Description: "no rules",
				Subjects: []corev1.ObjectReference{{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: "shop", Name: "deny"}},
				Properties: map[string]string{
					"resultID": ids[1], "action": "Deny", "field": "spec.egress", "affected": "api (3 pods), deployment/web", "wouldDeny": "true",
				},
			},
			{
				Source: "bulkhead", Policy: "label-not-in-template", Rule: "Pod", Category: "Network Policy", Severity: "medium", Result: "warn",
				Timestamp: metav1.Timestamp{Seconds: noon.Unix()}, Description: "label tier=be is not in the template",
				Subjects:   []corev1.ObjectReference{{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "api"}},
				Properties: map[string]string{"resultID": ids[0], "action": "Warn", "field": "metadata.labels"},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if text, _ := json.Marshal(got); strings.Contains(string(text), "secret") {
		t.Errorf("a failure says what it failed of: %s", text)
	}
}

// TestNothing: where nothing is to be said there is no report.
func TestNothing(t *testing.T) {
	counted := []audit.Finding{finding("cni-inert", config.Audit, "", "", "", "only counted")}
	if r := Namespace(&audit.Namespace{Name: "shop", Findings: counted}, At(noon)); r != nil {
		t.Errorf("%+v", r)
	}
	if r := Cluster(counted, At(noon)); r != nil {
		t.Errorf("%+v", r)
	}
	counted[0].Action = config.Warn
	if r := Cluster(counted, At(noon)); r == nil || len(r.Results) != 1 || r.Results[0].Subjects != nil || r.Namespace != "" {
		t.Errorf("%+v", r)
	}
}

// TestMost: a report holds no more than it may, keeps what is strictest, and says how many there are.
func TestMost(t *testing.T) {
	var findings []audit.Finding
	for i := range 700 {
		action := config.Warn
		if i%10 == 0 {
			action = config.Deny
		}
		findings = append(findings, finding("dns-cut", action, "NetworkPolicy", fmt.Sprintf("p%03d", i), "spec", strings.Repeat("long ", 1000)))
	}
	r := Namespace(&audit.Namespace{Name: "shop", Findings: findings}, At(noon))
	if len(r.Results) != MaxResults || r.Summary.Fail != 70 || r.Summary.Warn != 630 || r.Annotations[OmittedAnnotation] != "200" {
		t.Errorf("%d results, %+v, %v", len(r.Results), r.Summary, r.Annotations)
	}
	if n := slices.IndexFunc(r.Results, func(r v1alpha1.ReportResult) bool { return r.Result != "fail" }); n != 70 {
		t.Errorf("the denials end at %d", n)
	}
	// etcd takes 1.5 MiB.
	if text, err := json.Marshal(r); err != nil || len(text) > 1<<20 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

// TestIdentities: what a finding is does not depend on what its message counts, nor on other findings.
func TestIdentities(t *testing.T) {
	a := finding("dns-cut", config.Deny, "NetworkPolicy", "a", "spec", "3 pods")
	b := finding("dns-cut", config.Deny, "NetworkPolicy", "b", "spec", "3 pods")
	now := a
	now.Detail, now.Action = "4 pods", config.Warn
	one, two := Identities([]audit.Finding{a, b, a}), Identities([]audit.Finding{b, now, a})
	if one[0] != two[1] || one[1] != two[0] || one[2] != two[2] {
		t.Errorf("%q and %q", one, two)
	}
	if all := slices.Compact(slices.Sorted(slices.Values(one))); len(all) != 3 {
		t.Errorf("alike: %q", one)
	}
}

// TestText: what the cluster's authors write cannot rewrite what is shown.
func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain words, ünïcode →":  "plain words, ünïcode →",
		"line\nbreak":             `line\nbreak`,
		"\x1b[31mred \"quoted\"":  `\x1b[31mred "quoted"`,
		"right\u202eleft":         `right\u202eleft`,
		"broken\xff":              `broken\xff`,
		strings.Repeat("ä", 1000): strings.Repeat("ä", 512) + "…",
	} {
		if got := text(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}
