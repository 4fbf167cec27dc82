package guardrails_test

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// The number of namespaces is no fixture's to tell: a real cluster has more of them than a fixture names.
func TestAnyNamespaceCountsWhereDisclosed(t *testing.T) {
	fixtures, err := policytest.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		if f.Guardrail != "any-namespace" || f.Name != "warn-empty-selector" {
			continue
		}
		f.Config = map[string]any{"discloseOtherNamespaces": true}
		cfg, err := f.Settings(guardrails.All())
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Change(cfg)
		if err != nil {
			t.Fatal(err)
		}
		const want = "ingress[0].from[0] namespaceSelector {} lets pods of all 4 namespaces reach app=db:5432"
		for _, finding := range policy.Evaluate(cfg, guardrails.All(), c).Findings {
			if finding.Guardrail == f.Guardrail && finding.Detail == want {
				return
			}
		}
		t.Fatalf("no finding says %q", want)
	}
	t.Fatal("the fixture any-namespace/warn-empty-selector is gone")
}
