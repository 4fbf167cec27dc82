package browser

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/webhook/console"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// noon is the time in all samples.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// decisions makes n of them, the newest first, every one told by its number. Hostile goes into every text.
func decisions(n int, hostile string) []denials.Record {
	type kind struct{ guardrail, action, decision, field, detail, operation, resource, name string }
	kinds := []kind{
		{"dns-cut", "Deny", denials.Denied, "spec.egress", "6 live pods would lose DNS: nothing reaches kube-system/kube-dns on UDP 53", "CREATE", "NetworkPolicy", "default-deny"},
		{"isolation-lost", "Deny", denials.Denied, "", "deleting default-deny leaves 2 live pods (app=web) open to all ingress", "DELETE", "NetworkPolicy", "default-deny"},
		{"selector-no-pods", "Warn", denials.Warned, "spec.podSelector", "app=apii matches 0 pods or templates in shop; did you mean app=api (3 pods)?", "CREATE", "NetworkPolicy", "api-from-web"},
		{"label-drops-policy", "Deny", denials.Denied, "metadata.labels", "label tier=backend->be drops policy api: the pod would lose its rules", "UPDATE", "Pod", "api-687d74dc8b-bcw7h"},
		{"world-cidr", "Audit", denials.Audited, "spec.egress[0].to[0].ipBlock", "0.0.0.0/0 is the whole internet", "UPDATE", "NetworkPolicy", "allow-out"},
	}
	users := []string{"alice@example.com", "system:serviceaccount:argocd:argocd-application-controller", "bob@example.com"}
	spaces := []string{"shop", "payments", "checkout", "search"}
	out := make([]denials.Record, n)
	for i := range out {
		k := kinds[(i*7+i/5)%len(kinds)]
		at := noon.Add(-time.Duration(i*i%977+i*13) * time.Second)
		out[i] = denials.Record{
			Time: at, Last: at, Count: 1 + i%9/8*11, Replica: fmt.Sprintf("bulkhead-%d", i%2), UID: fmt.Sprintf("%08d-9c1f-4d1e-8a53-c0ffee%06d", i, i),
			User: users[i%3] + hostile, Operation: k.operation, Resource: k.resource, Namespace: spaces[i*i%4] + hostile, Name: k.name + hostile,
			DryRun: i%6 == 4, Decision: k.decision, Findings: []denials.Finding{{Guardrail: k.guardrail, Action: k.action, Field: k.field, Detail: k.detail + hostile, WouldDeny: k.action != "Deny"}},
		}
		if i%4 == 0 {
			out[i].Findings = append(out[i].Findings, denials.Finding{Guardrail: "connectivity-diff", Action: "Warn", Detail: "2 connections would be cut" + hostile})
			out[i].Cut = []denials.Flow{{From: "shop/app=web" + hostile, To: "shop/app=api" + hostile, Port: "TCP 8080"}, {From: "shop/app=api" + hostile, To: "kube-system/k8s-app=kube-dns", Port: "UDP 53"}}
			out[i].Opened = []denials.Flow{{From: "monitoring/app=prometheus", To: "shop/app=db", Port: "all ports"}}
		}
	}
	return out
}

// shop is a small cluster: a shop behind an ingress controller, partly isolated.
const shop = `
{kind: Namespace, metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop}}}
---
{kind: Namespace, metadata: {name: ingress, labels: {kubernetes.io/metadata.name: ingress}}}
---
{kind: Namespace, metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}
---
{kind: Pod, metadata: {namespace: shop, name: db, labels: {app: db}}}
---
{kind: Pod, metadata: {namespace: shop, name: mailer, labels: {app: mailer}}}
---
{kind: Pod, metadata: {namespace: ingress, name: nginx, labels: {app: nginx}}}
---
{kind: Pod, metadata: {namespace: kube-system, name: kube-dns, labels: {k8s-app: kube-dns}}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}], ports: [{port: 80}]}]}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]
  egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}, {to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{port: 53, protocol: UDP}]}]
---
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}]}
`

// snapshot makes a cluster of the objects in a text.
func snapshot(t *testing.T, text string) *cluster.Snapshot {
	t.Helper()
	b := cluster.NewBuilder(cluster.Options{})
	for document := range strings.SplitSeq(text, "\n---\n") {
		var about metav1.TypeMeta
		decode(t, document, &about)
		switch about.Kind {
		case "Namespace":
			b.SetNamespace(decode(t, document, &corev1.Namespace{}))
		case "Pod":
			b.SetPod(cluster.PodOf(decode(t, document, &corev1.Pod{})))
		case "NetworkPolicy":
			p, err := netpol.Compile(decode(t, document, &networkingv1.NetworkPolicy{}))
			if err != nil {
				t.Fatal(err)
			}
			b.SetPolicy(p)
		}
	}
	return b.Snapshot()
}

func decode[T any](t *testing.T, document string, into *T) *T {
	t.Helper()
	if err := yaml.Unmarshal([]byte(document), into); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return into
}

// report makes one of namespaces besides shop, each with findings.
func report(namespaces, findings int, hostile string) *audit.Report {
	slugs := []string{"dns-cut", "world-cidr", "baseline-half", "selector-no-pods", "metadata-open", "pod-uncovered"}
	actions := []config.Action{config.Deny, config.Warn, config.Audit}
	r := &audit.Report{}
	for i := range namespaces {
		n := audit.Namespace{Name: fmt.Sprintf("team-%03d%s", i, hostile), Posture: audit.Posture{
			Policies: i % 5, Pods: 10 + i%40*7, DefaultDeny: [2]bool{i%2 == 0, i%4 == 0}, Isolated: [2]int{7 + i%40*4, i % 40 * 2}, WithoutDNS: i % 4 / 3 * 2,
		}}
		if i == 0 && hostile == "" {
			n.Name = "shop"
		}
		for j := range findings {
			n.Findings = append(n.Findings, audit.Finding{
				Kind: "NetworkPolicy", Name: fmt.Sprintf("policy-%d%s", j/2, hostile),
				Finding: policy.Finding{Guardrail: slugs[(i+j)%len(slugs)], Action: actions[(i+j*j)%3], WouldDeny: j%2 == 0, Violation: policy.Violation{
					Field: "spec.egress[0]" + hostile, Detail: "no rule reaches kube-system/kube-dns on UDP 53" + hostile,
					Fix: &policy.Fix{Say: "add under spec.egress:" + hostile, YAML: "- to:\n  - namespaceSelector: {}\n" + hostile},
				}},
			})
		}
		r.Namespaces = append(r.Namespaces, n)
	}
	return r
}

// options are those of a console that shows samples and asks nobody to sign in.
func options(t *testing.T, records []denials.Record, r *audit.Report) console.Options {
	t.Helper()
	s := snapshot(t, shop)
	cfg := config.Default(policy.Specs(guardrails.All()))
	return console.Options{
		Denials: func() []denials.Record { return records }, Report: func() *audit.Report { return r },
		Snapshot: func() *cluster.Snapshot { return s }, Config: func() *config.Config { return cfg },
		Sources: func() console.Sources { return console.Sources{Known: 2, Answering: 2} },
		Cluster: "production", Version: "v0.1.0", Now: func() time.Time { return noon }, Logger: slog.New(slog.DiscardHandler),
	}
}
