package guardrails_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// reviewCase is a fixture of all guardrails together: who has to speak and who must not, whatever the words. The cases
// were written from what the guardrails promise, without a look at how they are made.
type reviewCase struct {
	policytest.Fixture
	// Want gives by slug the strictest action wanted. Whoever denies or warns beside them has to be in May.
	Want map[string]config.Action `json:"want"`
	// May gives by slug the strictest action that is as right as silence.
	May map[string]config.Action `json:"may,omitempty"`
	// Silent lists guardrails that must not even audit.
	Silent []string `json:"silent,omitempty"`
	// Times says how many findings of a guardrail there are.
	Times map[string]int `json:"times,omitempty"`
	// Untold are names that no message may hold, because the request does not give them.
	Untold []string `json:"untold,omitempty"`
	// Settled says what was decided where the case and the guardrails disagreed, and why.
	Settled string `json:"settled,omitempty"`
}

// maxWarning is the length that the API server cuts warnings to.
const maxWarning = 256

func TestReview(t *testing.T) {
	paths, err := filepath.Glob("testdata-review/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in testdata-review: %v", err)
	}
	all := guardrails.All()
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			c := readCase(t, path)
			d := judge(t, all, c)
			for _, mismatch := range c.compare(all, d, t.Logf) {
				t.Errorf("%s: %s", c.Why, mismatch)
			}
			for _, f := range d.Findings {
				checkWords(t, c, f)
			}
			backwards := *c
			backwards.Cluster = slices.Clone(c.Cluster)
			slices.Reverse(backwards.Cluster)
			if diff := cmp.Diff(said(d), said(judge(t, all, &backwards))); diff != "" {
				t.Errorf("%s: the order of the cluster's objects shows (-as written +backwards):\n%s", c.Why, diff)
			}
		})
	}
}

func readCase(t *testing.T, path string) *reviewCase {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := &reviewCase{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func judge(t *testing.T, all []policy.Guardrail, c *reviewCase) policy.Decision {
	t.Helper()
	cfg, err := c.Settings(all)
	if err != nil {
		t.Fatal(err)
	}
	change, err := c.Change(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := policy.Evaluate(cfg, all, change)
	for _, failure := range d.Failures {
		t.Fatalf("%s: %v", failure.Guardrail, failure.Err)
	}
	return d
}

// compare lists where the decision is not what the case wants. What it wants of a guardrail that is not there yet is
// only noted: it counts as soon as the guardrail exists.
func (c *reviewCase) compare(all []policy.Guardrail, d policy.Decision, pending func(string, ...any)) []string {
	got, times := map[string]config.Action{}, map[string]int{}
	for _, f := range d.Findings {
		times[f.Guardrail]++
		if f.Action.Rank() > got[f.Guardrail].Rank() {
			got[f.Guardrail] = f.Action
		}
	}
	var out []string
	for _, slug := range slices.Sorted(maps.Keys(c.Want)) {
		switch {
		case !slices.ContainsFunc(all, func(g policy.Guardrail) bool { return g.Slug == slug }):
			pending("pending: %s does not exist yet", slug)
		case got[slug] != c.Want[slug]:
			out = append(out, fmt.Sprintf("%s: want %s, got %q", slug, c.Want[slug], got[slug]))
		}
	}
	for _, slug := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := c.Want[slug]; wanted {
			continue
		}
		most, allowed := c.May[slug]
		switch {
		case slices.Contains(c.Silent, slug), got[slug] != config.Audit && !allowed, allowed && got[slug].Rank() > most.Rank():
			out = append(out, fmt.Sprintf("%s: want silence, got %s", slug, got[slug]))
		}
	}
	for _, slug := range slices.Sorted(maps.Keys(c.Times)) {
		if times[slug] != c.Times[slug] {
			out = append(out, fmt.Sprintf("%s: want %d findings, got %d", slug, c.Times[slug], times[slug]))
		}
	}
	if len(out) > 0 {
		out = append(out, "said:\n"+strings.Join(said(d), "\n"))
	}
	return out
}

// said is every word of a decision.
func said(d policy.Decision) []string {
	var out []string
	for _, f := range d.Findings {
		fix := policy.Fix{}
		if f.Fix != nil {
			fix = *f.Fix
		}
		out = append(out, fmt.Sprintf("%s %s %s: %s | %s | %s | %v | %s %s",
			f.Action, f.Guardrail, f.Field, f.Headline, f.Detail, f.Reason, f.Affected, fix.Say, fix.YAML))
	}
	return out
}

func checkWords(t *testing.T, c *reviewCase, f policy.Finding) {
	t.Helper()
	if len(f.Detail) > maxWarning || f.Detail == "" {
		t.Errorf("%s: %d characters: %q", f.Guardrail, len(f.Detail), f.Detail)
	}
	if f.Action == config.Deny && f.Fix == nil {
		t.Errorf("%s denies without a fix that holds: %s", f.Guardrail, f.Detail)
	}
	words := strings.Join(said(policy.Decision{Findings: []policy.Finding{f}}), "")
	for _, name := range c.Untold {
		if strings.Contains(words, name) {
			t.Errorf("%s tells %q, which the request does not name: %s", f.Guardrail, name, words)
		}
	}
}
