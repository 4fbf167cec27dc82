package audit_test

import (
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// settings parses lines of a config for all guardrails.
func settings(t testing.TB, lines string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(fmt.Sprintf("apiVersion: %s\nkind: %s\n%s", config.APIVersion, config.Kind, lines)), policy.Specs(guardrails.All()))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// read reads manifests.
func read(t testing.TB, text string) []manifest.Object {
	t.Helper()
	r := &manifest.Reader{}
	r.Add("cluster.yaml", []byte(text))
	objects, err := r.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// submitted gives the policies among the objects as they were submitted.
func submitted(objects []manifest.Object) func(namespace, name string) *networkingv1.NetworkPolicy {
	known := map[string]*networkingv1.NetworkPolicy{}
	for i := range objects {
		if np := objects[i].NetworkPolicy(); np != nil {
			known[np.Namespace+"/"+np.Name] = np
		}
	}
	return func(namespace, name string) *networkingv1.NetworkPolicy { return known[namespace+"/"+name] }
}

// scan audits the cluster that the manifests describe.
func scan(t testing.TB, cfg *config.Config, text string) *audit.Report {
	t.Helper()
	objects := read(t, text)
	s := manifest.Build(objects, policy.SnapshotOptions(cfg))
	return audit.Scan(t.Context(), s, &audit.Options{Config: cfg, Guardrails: guardrails.All(), Policies: submitted(objects)})
}

// line writes a finding for comparison.
func line(f *audit.Finding) string {
	words := []string{string(f.Action), f.Guardrail, strings.TrimSpace(f.Kind + " " + f.Name), f.Field}
	if f.WouldDeny {
		words = append(words, "would deny")
	}
	if f.NotYet {
		words = append(words, "not yet")
	}
	return strings.Join(words, " | ")
}

func lines(findings []audit.Finding) []string {
	out := []string{}
	for i := range findings {
		out = append(out, line(&findings[i]))
	}
	return out
}

// namespace gives the part of the report about one namespace.
func namespace(t testing.TB, r *audit.Report, name string) *audit.Namespace {
	t.Helper()
	for i := range r.Namespaces {
		if r.Namespaces[i].Name == name {
			return &r.Namespaces[i]
		}
	}
	t.Fatalf("the report has no namespace %s", name)
	return nil
}

// options judges with all guardrails.
func options(cfg *config.Config, objects []manifest.Object) *audit.Options {
	return &audit.Options{Config: cfg, Guardrails: guardrails.All(), Policies: submitted(objects)}
}
