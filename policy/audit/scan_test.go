package audit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// stored is a namespace whose default-deny cuts DNS of one workload, with a policy for nobody, beside one that nobody isolated.
const stored = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {selector: {k8s-app: kube-dns}, ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53, name: dns-tcp}]}
---
apiVersion: v1
kind: Pod
metadata: {name: coredns-0, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {dnsPolicy: Default, containers: [{name: c, image: c}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: typo, namespace: shop}
spec: {podSelector: {matchLabels: {app: apii}}, policyTypes: [Ingress]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: api}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: api-0, namespace: shop, labels: {app: api}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: api, uid: u, controller: true}]}
spec: {containers: [{name: api, image: api}]}
---
apiVersion: v1
kind: Pod
metadata: {name: api-1, namespace: shop, labels: {app: api}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: api, uid: u, controller: true}]}
spec: {containers: [{name: api, image: api}]}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: shop, labels: {app: agent}}
spec: {hostNetwork: true, containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: lone, namespace: open, labels: {app: lone}}
spec: {containers: [{name: a, image: a}]}
`

func TestScan(t *testing.T) {
	r := scan(t, settings(t, "maximumAction: Warn"), stored)
	shop := namespace(t, r, "shop")
	findings := []string{
		"Warn | dns-cut | Deployment api | spec.template.metadata.labels",
		"Warn | dns-cut | NetworkPolicy default-deny | spec.egress | would deny",
		"Warn | selector-no-pods | NetworkPolicy typo | spec.podSelector | would deny | not yet",
		"Warn | dns-cut | Pod api | metadata.labels",
	}
	if diff := cmp.Diff(findings, lines(shop.Findings)); diff != "" {
		t.Errorf("findings of shop (-want +got):\n%s", diff)
	}
	want := audit.Posture{
		Policies: 2, Pods: 2, Ungoverned: 1, Isolated: [2]int{2, 2}, DefaultDeny: [2]bool{true, true}, WithoutDNS: 2, SelectNothing: []string{"typo"},
	}
	if diff := cmp.Diff(want, shop.Posture); diff != "" {
		t.Errorf("posture of shop (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(audit.Posture{Pods: 1}, namespace(t, r, "open").Posture); diff != "" {
		t.Errorf("posture of open (-want +got):\n%s", diff)
	}
}

// TestStrictestFirst: of one object the strictest finding comes first, whatever the guardrails are called.
func TestStrictestFirst(t *testing.T) {
	const half = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: half, namespace: open}
spec: {podSelector: {}, policyTypes: [Egress]}
`
	got := lines(namespace(t, scan(t, settings(t, "maximumAction: Deny"), stored+half), "open").Findings)
	want := []string{
		"Deny | dns-cut | NetworkPolicy half | spec.egress | would deny",
		"Warn | baseline-half | NetworkPolicy half | spec.policyTypes | would deny",
		"Warn | dns-cut | Pod lone | metadata.labels",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStopsEarly: an audit that is cut short says so.
func TestStopsEarly(t *testing.T) {
	objects := read(t, stored)
	cfg := settings(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	o := options(cfg, objects)
	o.Progress = func(int, int) { cancel() }
	r := audit.Scan(ctx, manifest.Build(objects, policy.SnapshotOptions(cfg)), o)
	if len(r.Partial) != 1 || !strings.HasPrefix(r.Partial[0], "stopped early: ") || len(r.Namespaces) != 3 {
		t.Errorf("%q, %d namespaces", r.Partial, len(r.Namespaces))
	}
}

// TestUnjudged: a policy whose object nobody has is not judged, and the report says so.
func TestUnjudged(t *testing.T) {
	objects := read(t, stored)
	cfg := settings(t, "")
	o := options(cfg, objects)
	known := o.Policies
	o.Policies = func(namespace, name string) *networkingv1.NetworkPolicy {
		if name == "typo" {
			return nil
		}
		return known(namespace, name)
	}
	r := audit.Scan(t.Context(), manifest.Build(objects, policy.SnapshotOptions(cfg)), o)
	shop := namespace(t, r, "shop")
	if diff := cmp.Diff([]string{"typo"}, shop.Unjudged); diff != "" || len(r.Partial) != 1 || len(lines(shop.Findings)) != 3 {
		t.Errorf("%s%q\n%q", diff, r.Partial, lines(shop.Findings))
	}
}

// TestOfTheCluster: what is about the cluster is said once, and a guardrail that panics is a failure and not the end.
func TestOfTheCluster(t *testing.T) {
	objects := read(t, stored)
	cfg := settings(t, "")
	o := options(cfg, objects)
	for i := range o.Guardrails {
		switch g := &o.Guardrails[i]; g.Slug {
		case "cni-inert":
			g.Check = func(*policy.Change, any) []policy.Violation { return []policy.Violation{{Detail: "nobody enforces"}} }
		case "dns-cut":
			g.Check = func(*policy.Change, any) []policy.Violation { panic("at the disco") }
		}
	}
	r := audit.Scan(t.Context(), manifest.Build(objects, policy.SnapshotOptions(cfg)), o)
	if diff := cmp.Diff([]string{"Audit | cni-inert |  | "}, lines(r.Cluster)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"shop", "open"} {
		if n := namespace(t, r, name); len(n.Failures) != 1 || n.Failures[0].Guardrail != "dns-cut" {
			t.Errorf("failures of %s: %v", name, n.Failures)
		}
	}
}
