package guardrails

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// catalogued is one row of the catalogue: what a guardrail judges and what it does by default. on holds NP for a
// NetworkPolicy's creation and update, NP- for its deletion as well, POD for a pod, WL for pods and pod templates, NS for a
// Namespace's labels. action is D, W or A; D* denies only where live pods get worse.
type catalogued struct{ slug, on, action string }

// theCatalogue is what users are promised: a change here breaks somebody's config or alert.
var theCatalogue = []catalogued{
	{"dns-cut", "NP- WL", "D*"},
	{"dns-dead-peer", "NP", "W"},
	{"dns-port", "NP", "W"},
	{"dns-resolver", "NP-", "W"},
	{"dns-tcp", "NP", "W"},

	{"selector-no-pods", "NP", "W"},
	{"peer-no-namespace", "NP", "W"},
	{"peer-no-pods", "NP", "W"},
	{"selector-ephemeral", "NP", "W"},
	{"and-or", "NP", "W"},
	{"any-namespace", "NP", "W"},
	{"hostnetwork-peer", "NP", "W"},

	{"isolation-lost", "NP- WL", "D*"},
	{"baseline-half", "NP", "W"},
	{"isolation-side-effect", "NP", "D*"},
	{"rules-ignored", "NP", "D"},
	{"pod-uncovered", "WL", "W"},
	{"hostnetwork-bypass", "WL", "W"},
	{"label-drops-policy", "WL", "D*"},
	{"label-gains-access", "WL", "W"},
	{"label-not-in-template", "POD", "W"},
	{"ns-label-impact", "NS", "W"},
	{"baseline-nullified", "NP", "D"},
	{"protected-policy", "NP-", "D"},

	{"allow-all-rule", "NP", "W"},
	{"world-cidr", "NP", "W"},
	{"metadata-open", "NP", "W"},
	{"except-defeated", "NP", "W"},
	{"forbidden-cidr", "NP", "D"},
	{"ipblock-in-cluster", "NP", "W"},
	{"ipblock-snat", "NP", "W"},
	{"dualstack-gap", "NP", "W"},

	{"service-port", "NP", "W"},
	{"named-port", "NP", "W"},
	{"port-undeclared", "NP", "A"},
	{"endport", "NP", "W"},

	{"connectivity-diff", "NP- WL NS", "A"},
	{"one-sided", "NP", "W"},
	{"tenant-crossing", "NP- WL", "W"},
	{"apiserver-cut", "NP-", "D*"},
	{"webhook-cut", "NP-", "D*"},
	{"gateway-cut", "NP-", "D*"},
	{"scrape-cut", "NP-", "W"},
	{"acme-solver-cut", "NP-", "W"},
	{"dependency-cut", "NP- WL", "W"},

	{"policy-metadata", "NP", "A"},
	{"cni-inert", "NP", "A"},
	{"redundant", "NP", "A"},
}

// differs says for which guardrails the code knowingly does something else than its row, and why; their documentation says so
// too.
var differs = map[string]string{
	"metadata-open": "deleting the policy that kept pods from the metadata address opens it just as well",
}

func TestCatalogue(t *testing.T) {
	if len(theCatalogue) != 48 {
		t.Errorf("the catalogue has %d rows, want 48", len(theCatalogue))
	}
	all := All()
	for _, row := range theCatalogue {
		i := slices.IndexFunc(all, func(g policy.Guardrail) bool { return g.Slug == row.slug })
		if i < 0 {
			t.Errorf("no guardrail %s", row.slug)
			continue
		}
		same := row.matches(&all[i])
		switch reason := differs[row.slug]; {
		case !same && reason == "":
			t.Errorf("%s: runs on %v with %s, live only: %v; the row says %s on %s", row.slug, all[i].On, all[i].DefaultAction, all[i].LiveOnly, row.action, row.on)
		case same && reason != "":
			t.Errorf("%s is as its row says, and yet differs", row.slug)
		}
	}
	for i := range all {
		if !slices.ContainsFunc(theCatalogue, func(row catalogued) bool { return row.slug == all[i].Slug }) {
			t.Errorf("%s is in no row", all[i].Slug)
		}
	}
}

func (row catalogued) matches(g *policy.Guardrail) bool {
	actions := map[string]config.Action{"D": config.Deny, "D*": config.Deny, "W": config.Warn, "A": config.Audit}
	triggers := map[string][]policy.Trigger{
		"NP": {policy.PolicyWrite}, "NP-": {policy.PolicyWrite, policy.PolicyDelete}, "POD": {policy.PodWrite},
		"WL": {policy.PodWrite, policy.TemplateWrite}, "NS": {policy.NamespaceWrite},
	}
	var on []policy.Trigger
	for _, kind := range strings.Fields(row.on) {
		on = append(on, triggers[kind]...)
	}
	got := slices.Clone(g.On)
	slices.Sort(got)
	slices.Sort(on)
	// What only warns may be bounded to warn about templates as well; that changes nothing until a config makes it deny.
	liveOnly := g.LiveOnly == (row.action == "D*") || row.action != "D" && row.action != "D*"
	return slices.Equal(got, on) && g.DefaultAction == actions[row.action] && liveOnly
}

// TestRightsAreDocumented: whoever grants rights finds all that a guardrail needs, and no more.
func TestRightsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	row := regexp.MustCompile("^\\| `([a-z-]+)` \\| (.*) \\|$")
	resource := regexp.MustCompile("`([a-z]+)`")
	_, table, _ := strings.Cut(string(data), "| guardrail | resources, to list and watch |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.SplitSeq(table, "\n") {
		if m := row.FindStringSubmatch(line); m != nil {
			for _, r := range resource.FindAllStringSubmatch(m[2], -1) {
				if r[1] != "default" { // a namespace
					documented[m[1]] = append(documented[m[1]], r[1])
				}
			}
			slices.Sort(documented[m[1]])
		}
	}
	needed := map[string][]string{}
	for _, g := range All() {
		for _, r := range g.Needs {
			name, _, _ := strings.Cut(string(r), ".")
			needed[g.Slug] = append(needed[g.Slug], name)
		}
		slices.Sort(needed[g.Slug])
	}
	if diff := cmp.Diff(needed, documented, cmpopts.EquateEmpty(), cmpopts.IgnoreMapEntries(func(_ string, l []string) bool { return len(l) == 0 })); diff != "" {
		t.Errorf("docs/operations.md (-needed +documented):\n%s", diff)
	}
}
