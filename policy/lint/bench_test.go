package lint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// teamFiles makes ten manifest files of the i-th of many namespaces: three tiers with Services, the policies between them
// and the baseline.
func teamFiles(i int) []string {
	ns := fmt.Sprintf("team-%03d", i)
	const np = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec:\n%s"
	const peers = "  - %s:\n    - podSelector: {matchLabels: {app: %s}}\n    ports: [{protocol: TCP, port: 8080}]\n"
	workload := func(name string) string {
		return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %[1]s, namespace: %[2]s, labels: {app: %[1]s}}\n"+
			"spec:\n  replicas: 3\n  selector: {matchLabels: {app: %[1]s}}\n  template:\n    metadata: {labels: {app: %[1]s, team: %[2]s}}\n"+
			"    spec:\n      containers:\n      - name: main\n        image: example.com/%[1]s:1\n        ports: [{name: http, containerPort: 8080}]\n"+
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: %[1]s, namespace: %[2]s}\n"+
			"spec: {selector: {app: %[1]s}, ports: [{name: http, port: 80, targetPort: http}]}\n", name, ns)
	}
	policy := func(name, spec string) string { return fmt.Sprintf(np, name, ns, spec) }
	return []string{
		fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {team: %[1]s}}\n", ns),
		workload("web"), workload("api"), workload("db"),
		policy("default-deny", "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n"),
		policy("allow-dns", "  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to:\n"+
			"    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}\n      podSelector: {matchLabels: {k8s-app: kube-dns}}\n"+
			"    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]\n"),
		policy("scrape", "  podSelector: {}\n  policyTypes: [Ingress]\n  ingress:\n  - from:\n"+
			"    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}\n    ports: [{protocol: TCP, port: http}]\n"),
		policy("web", "  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - from:\n"+
			"    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}\n    ports: [{protocol: TCP, port: 8080}]\n"+
			"  egress:\n"+fmt.Sprintf(peers, "to", "api")),
		policy("api", "  podSelector: {matchLabels: {app: api}}\n  policyTypes: [Ingress, Egress]\n  ingress:\n"+fmt.Sprintf(peers, "from", "web")+
			"  egress:\n"+fmt.Sprintf(peers, "to", "db")),
		policy("db", "  podSelector: {matchLabels: {app: db}}\n  policyTypes: [Ingress]\n  ingress:\n"+fmt.Sprintf(peers, "from", "api")),
	}
}

// BenchmarkLint reads and judges 1,000 files, which is to take less than three seconds: once as they should be, and once
// with a mistake in each namespace, when orders are tried and fixes too.
func BenchmarkLint(b *testing.B) {
	const namespaces = 100
	for _, name := range []string{"clean", "mistaken"} {
		var files []string
		for i := range namespaces {
			for _, text := range teamFiles(i) {
				if name == "mistaken" {
					text = strings.Replace(text, "{protocol: UDP, port: 53}, ", "", 1)
				}
				files = append(files, text)
			}
		}
		b.Run(fmt.Sprintf("%s/files=%d", name, len(files)), func(b *testing.B) {
			cfg := settings(b, "")
			for b.Loop() {
				r := &manifest.Reader{KeepText: true}
				for i, text := range files {
					r.Add(fmt.Sprintf("file-%04d.yaml", i), []byte(text))
				}
				objects, err := r.Objects()
				if err != nil {
					b.Fatal(err)
				}
				report := lint.Run(b.Context(), &lint.Input{Objects: objects, Config: cfg, Guardrails: guardrails.All(), Alone: true})
				if clean := len(report.Findings) == 0; clean != (name == "clean") || len(report.Partial) > 0 {
					b.Fatalf("%d findings, %q: %.500q", len(report.Findings), report.Partial, said(report))
				}
			}
		})
	}
}
