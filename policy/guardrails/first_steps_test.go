package guardrails_test

import (
	"path/filepath"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// TestFixesAreTrue does what every denial says, with all guardrails on, as a developer would: the policies to apply first pass
// one after the other, and then the guardrail that denied the change does so no more. Every denial has something to do.
func TestFixesAreTrue(t *testing.T) {
	fixtures, err := policytest.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("testdata-review/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		c := readCase(t, path)
		c.Name = filepath.Base(path)
		fixtures = append(fixtures, &c.Fixture)
	}
	all := guardrails.All()
	denials, steps := 0, 0
	for _, f := range fixtures {
		cfg, err := f.Settings(all)
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.Change(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, finding := range policy.Evaluate(cfg, all, c).Findings {
			if finding.Action != config.Deny {
				continue
			}
			denials++
			name := f.Guardrail + "/" + f.Name + ": " + finding.Guardrail
			if finding.Fix == nil {
				t.Errorf("%s: %s: no fix", name, finding.Detail)
				continue
			}
			cluster := c.Before
			for i, np := range finding.Fix.First {
				step, err := policy.PolicyChange(cluster, nil, np)
				if err != nil {
					t.Fatal(err)
				}
				step.Disclose, step.Requester = c.Disclose, c.Requester
				for _, then := range policy.Evaluate(cfg, all, step).Findings {
					if then.Action == config.Deny {
						t.Errorf("%s: policy %d to apply first is denied by %s: %s\n%s", name, i, then.Guardrail, then.Detail, finding.Fix.YAML)
					}
				}
				cluster = step.After
				steps++
			}
			fixed, err := c.WithFix(finding.Fix)
			if err != nil {
				t.Fatal(err)
			}
			for _, then := range policy.Evaluate(cfg, all, fixed).Findings {
				if then.Action == config.Deny && then.Guardrail == finding.Guardrail && then.Field == finding.Field {
					t.Errorf("%s: after the fix: %s", name, then.Detail)
				}
			}
		}
	}
	t.Logf("%d denials, %d policies to apply first", denials, steps)
}
