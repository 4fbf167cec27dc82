package guardrails_test

import (
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// TestUnchangedPolicyIsSilent submits what each fixture leaves behind once more: a change that changes nothing is no
// violation, however bad the cluster is.
func TestUnchangedPolicyIsSilent(t *testing.T) {
	all := guardrails.All()
	fixtures, err := policytest.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		cfg, err := f.Settings(all)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		c, err := f.Change(cfg)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		if c.Object == nil {
			continue
		}
		again, err := policy.PolicyChange(c.After, c.Object, c.Object)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		for _, finding := range policy.Evaluate(cfg, all, again).Findings {
			t.Errorf("%s/%s: %s says of the same policy: %s", f.Guardrail, f.Name, finding.Guardrail, finding.Detail)
		}
	}
}
