package policytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Run judges every fixture below dir with its own guardrail. It fails for a guardrail without both a passing and a
// violating fixture, and for a folder without a guardrail.
func Run(t *testing.T, guardrails []policy.Guardrail, dir string) {
	t.Helper()
	fixtures, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	checkCoverage(t, guardrails, fixtures, dir)
	for _, f := range fixtures {
		t.Run(f.Guardrail+"/"+f.Name, func(t *testing.T) {
			i := slices.IndexFunc(guardrails, func(g policy.Guardrail) bool { return g.Slug == f.Guardrail })
			if i < 0 {
				t.Fatalf("no guardrail %q; add it to the list or remove testdata/%s", f.Guardrail, f.Guardrail)
			}
			cfg, err := f.Settings(guardrails)
			if err != nil {
				t.Fatal(err)
			}
			c, err := f.Change(cfg)
			if err != nil {
				t.Fatal(err)
			}
			d := policy.Evaluate(cfg, guardrails[i:i+1], c)
			for _, failure := range d.Failures {
				t.Fatalf("%s: %v", failure.Guardrail, failure.Err)
			}
			if diff := cmp.Diff(f.Want, wants(d)); diff != "" {
				t.Errorf("%s\nfindings (-want +got):\n%s", f.Why, diff)
			}
			if got := strings.ToLower(strictest(d)) + "-"; !strings.HasPrefix(f.Name, got) {
				t.Errorf("the file's name promises another outcome than %q", got)
			}
		})
	}
}

func strictest(d policy.Decision) string {
	if len(d.Findings) == 0 {
		return "allow"
	}
	return string(d.Findings[0].Action)
}

func wants(d policy.Decision) []Want {
	var out []Want
	for _, f := range d.Findings {
		w := Want{Action: f.Action, Field: f.Field, Headline: f.Headline, Detail: f.Detail, Reason: f.Reason}
		for _, a := range f.Affected {
			if a.Pods > 0 {
				w.Affected = append(w.Affected, fmt.Sprintf("%s (%s)", a.Name, policy.Plural(a.Pods, "pod")))
			} else {
				w.Affected = append(w.Affected, a.Name)
			}
		}
		if f.Fix != nil {
			w.FixSay, w.Fix = f.Fix.Say, f.Fix.YAML
		}
		out = append(out, w)
	}
	return out
}

func checkCoverage(t *testing.T, guardrails []policy.Guardrail, fixtures []*Fixture, dir string) {
	t.Helper()
	for i := range guardrails {
		passing, violating := false, false
		for _, f := range fixtures {
			if f.Guardrail == guardrails[i].Slug {
				allow := strings.HasPrefix(f.Name, "allow-")
				passing, violating = passing || allow, violating || !allow
			}
		}
		if !passing || !violating {
			t.Errorf("%s: needs at least one allow- fixture and one audit-, warn- or deny- fixture in %s", guardrails[i].Slug, filepath.Join(dir, guardrails[i].Slug))
		}
	}
	folders, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !slices.ContainsFunc(guardrails, func(g policy.Guardrail) bool { return g.Slug == folder.Name() }) {
			t.Errorf("%s belongs to no guardrail", filepath.Join(dir, folder.Name()))
		}
	}
}

// CheckFixes proves for every fixture that a fix that is shown makes its guardrail pass, with all guardrails on.
func CheckFixes(t *testing.T, guardrails []policy.Guardrail, dir string) {
	t.Helper()
	fixtures, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fixtures {
		cfg, err := f.Settings(guardrails)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		c, err := f.Change(cfg)
		if err != nil {
			t.Fatalf("%s/%s: %v", f.Guardrail, f.Name, err)
		}
		for _, finding := range policy.Evaluate(cfg, guardrails, c).Findings {
			if finding.Fix == nil {
				if finding.Action == config.Deny {
					t.Errorf("%s/%s: %s denies without a fix", f.Guardrail, f.Name, finding.Guardrail)
				}
				continue
			}
			fixed, err := c.WithFix(finding.Fix)
			if err != nil {
				t.Errorf("%s/%s: the fix of %s: %v", f.Guardrail, f.Name, finding.Guardrail, err)
				continue
			}
			for _, again := range policy.Evaluate(cfg, guardrails, fixed).Findings {
				if again.Guardrail == finding.Guardrail && again.Field == finding.Field && again.Detail == finding.Detail {
					t.Errorf("%s/%s: the fix of %s leaves it as it was: %s", f.Guardrail, f.Name, finding.Guardrail, again.Detail)
				}
			}
		}
	}
}
