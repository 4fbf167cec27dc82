package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// testAuditMetrics counts by hand what the leader exports.
func (a *auditing) testAuditMetrics(t *testing.T) {
	leads, _ := a.leader(t)
	before := a.posture(t, leads)
	open, shut := a.newNamespace(t), a.newNamespace(t)
	a.given(t, open, deployment("web", 2, "app: web"))
	a.given(t, shut, deployment("api", 3, "app: api"), networkPolicy("deny", denyAll),
		networkPolicy("nobody", "podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingress]"))
	want := map[string]float64{
		"namespaces none": 1, "namespaces both": 1, "pods ingress false": 2, "pods ingress true": 3, "pods egress false": 2, "pods egress true": 3,
		"without": 3, "nothing": 1, "dns-cut Deny": 1, "dns-cut Warn": 2, "would": 1,
	}
	eventually(t, "the posture of two namespaces more", func(ctx context.Context) error {
		now := a.posture(t, leads)
		for what, n := range want {
			if now[what]-before[what] != n {
				return fmt.Errorf("%s was %v and is %v, want %v more", what, before[what], now[what], n)
			}
		}
		return nil
	})
	awaitMetric(t, leads, atLeast(1), "bulkhead_audit_namespaces_scanned_total")
	awaitMetric(t, leads, atLeast(1), "bulkhead_audit_last_scan_timestamp_seconds")

	// A config in which nothing denies counts the same as warnings, and what would be denied stays.
	all, would := before["dns-cut Deny"]+before["dns-cut Warn"]+3, before["would"]+1
	a.writeConfig(t, strings.Replace(auditConfig, "maximumAction: Deny", "maximumAction: Warn", 1))
	awaitMetric(t, leads, is(all), "bulkhead_audit_violations", `guardrail="dns-cut"`, `action="Warn"`)
	awaitMetric(t, leads, is(would), "bulkhead_audit_would_deny", `guardrail="dns-cut"`)
	a.awaitReport(t, shut, sorted(strings.Replace(cutPolicy, "fail high", "warn medium", 1), cutPods, cutTemplate,
		"selector-no-pods NetworkPolicy warn medium NetworkPolicy/nobody"))
	a.writeConfig(t, strings.Replace(auditConfig, "action: Warn", "action: Audit", 1))
	a.awaitReport(t, "", "")
	a.writeConfig(t, auditConfig)
	a.awaitReport(t, "", ofPlugin)
}

// posture gives what is counted of a replica's metrics.
func (a *auditing) posture(t *testing.T, r *replica.Replica) map[string]float64 {
	t.Helper()
	metrics, err := r.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	read := func(what, name string, labels ...string) {
		out[what], _ = sum(metrics, "bulkhead_audit_"+name, labels...)
	}
	for _, covered := range []string{"none", "both"} {
		read("namespaces "+covered, "namespaces", `default_deny="`+covered+`"`)
	}
	for _, direction := range []string{"ingress", "egress"} {
		for _, isolated := range []string{"true", "false"} {
			read("pods "+direction+" "+isolated, "pods", `direction="`+direction+`"`, `isolated="`+isolated+`"`)
		}
	}
	read("without", "pods_without_dns")
	read("nothing", "policies_selecting_nothing")
	for _, action := range []string{"Deny", "Warn"} {
		read("dns-cut "+action, "violations", `guardrail="dns-cut"`, `action="`+action+`"`)
	}
	read("would", "would_deny", `guardrail="dns-cut"`)
	return out
}

// testTakeover: when the leader's node fails another replica takes over, and goes on where the reports end.
func (a *auditing) testTakeover(t *testing.T) {
	namespace := a.newNamespace(t)
	a.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("deny", denyAll))
	before := a.awaitReport(t, namespace, sorted(cutPolicy, cutPods, cutTemplate))
	second := a.start(t)
	leads, others := a.leader(t)
	if len(others) != 1 || others[0] != second {
		t.Fatal("the second replica was to follow")
	}
	if err := leads.Kill(); err != nil {
		t.Fatal(err)
	}
	a.gone(leads)
	if now, _ := a.leader(t); now != second {
		t.Fatal("the second replica was to lead")
	}
	awaitMetric(t, second, atLeast(1), "bulkhead_audit_reports_total", `result="unchanged"`)
	a.given(t, namespace, networkPolicy("typo", "podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], egress: [{}]"))
	after := a.awaitReport(t, namespace, sorted(cutPolicy, cutPods, cutTemplate, typoReported))
	was, is := before.result(t, "dns-cut", "NetworkPolicy/deny"), after.result(t, "dns-cut", "NetworkPolicy/deny")
	if was.Timestamp != is.Timestamp {
		t.Errorf("what was found before is %+v, and was %+v", is, was)
	}
}

// testRelease: a leader that is stopped gives the Lease up, so that another takes over at once rather than when it runs out.
func (a *auditing) testRelease(t *testing.T) {
	a.start(t)
	leads, _ := a.leader(t)
	if err := leads.Stop(); err != nil {
		t.Error(err)
	}
	a.gone(leads)
	text := lastLines(leads.LogPath, 20)
	if !strings.Contains(text, "no longer leads") || !strings.Contains(text, `"msg":"stopped"`) {
		t.Errorf("the end of its log:\n%s", text)
	}
	a.leader(t)
	// Of the Lease the last one alone is left when all have gone.
	for _, r := range a.replicas {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	}
	a.replicas = nil
	lease, err := a.clients.CoordinationV1().Leases(replica.Namespace).Get(t.Context(), "bulkhead-audit", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
		t.Errorf("the Lease is held by %s, who is gone", *holder)
	}
}

// testAuditRights reads from the API server's audit log what all replicas did: nothing was refused, and what the chart grants beyond
// reading the cluster was all used.
func (a *auditing) testAuditRights(t *testing.T, from int64) {
	i := &installation{suite: a.suite}
	used, refused := i.requests(t, from, auditUser)
	for _, r := range refused {
		t.Errorf("the audit was refused to %s", r)
	}
	granted := i.grantedTo(t, "app.kubernetes.io/component=audit")
	written := 0
	for _, r := range granted {
		reads := r.Verb == "list" || r.Verb == "watch"
		if !reads {
			written++
		}
		if reads && r.Group != "openreports.io" {
			continue // of the cluster; what of it is used is the webhook's to show
		}
		if r.Verb == "create" && r.Group == "openreports.io" {
			r.Verb = "patch" // what server-side apply is logged as, whatever else it is checked for
		}
		if !slices.ContainsFunc(used, func(u webhook.Right) bool { return covers(r, u) }) {
			t.Errorf("the chart grants what the audit has not used: %s", r)
		}
	}
	if written != 9 {
		t.Errorf("the chart grants %d rights that are not for reading lists: %v", written, granted)
	}
}
