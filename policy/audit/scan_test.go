package audit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
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
