package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// nsLabelImpact: an edit of a Namespace's labels cuts or opens connections of its live pods, because policies anywhere
// select the namespace by those labels.
var nsLabelImpact = policy.Guardrail{
	Slug:          "ns-label-impact",
	Summary:       "a namespace's labels change, and with them who may connect to its pods",
	On:            []policy.Trigger{policy.NamespaceWrite},
	DefaultAction: config.Warn,
	Check:         checkNSLabelImpact,
	Documentation: policy.Documentation{
		Why: `Policies of other teams let a namespace's pods in by the namespace's labels. Whoever edits those labels sees none of
these policies: the edit cuts connections, or opens them, in namespaces that its author never looks at.`,
		Judged: `All connections of the namespace's live pods before and after the edit, with the policies of all namespaces and the
cluster-wide ones. Labels that no policy reads, and edits after which every selector still matches the same namespaces' pods,
are left alone. So is the label kubernetes.io/metadata.name, which only the API server sets.`,
		Bad: `# kubectl label namespace web team-, while policies elsewhere admit pods by the namespace label team=web
apiVersion: v1
kind: Namespace
metadata: {name: web}
`,
		Good: `apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {team: web}}
`,
		Fix: `Keep the labels that policies select on. To rename one, add the new label first, move the policies over to it, and
remove the old one last.`,
	},
}

func checkNSLabelImpact(c *policy.Change, _ any) []policy.Violation {
	d := c.Difference()
	if d.Cut+d.Opened == 0 {
		return nil
	}
	cut, opened := sides(d)
	edits, fix := namespaceEdits(c)
	return []policy.Violation{{
		Field: "metadata.labels", Headline: differenceHeadline(d), Live: true, Affected: touchedByBoth(cut, opened), Fix: fix,
		Detail: fmt.Sprintf("label change on namespace %s (%s) %s%s", c.Name, edits, impactWords(cut, opened), extentWords(d)),
	}}
}

// impactWords counts both signs: "cuts 6 connections in 2 namespaces, opens 1 in 1 namespace".
func impactWords(cut, opened *side) string {
	var parts []string
	for _, s := range [...]struct {
		verb string
		*side
	}{{"cuts", cut}, {"opens", opened}} {
		if s.count == 0 {
			continue
		}
		what := fmt.Sprint(s.count)
		if len(parts) == 0 {
			what = policy.Plural(s.count, "connection")
		}
		parts = append(parts, fmt.Sprintf("%s %s %s", s.verb, what, places(s.flows)))
	}
	return strings.Join(parts, ", ")
}

// places counts where the peers of the flows are.
func places(flows []*policy.Flow) string {
	namespaces := map[string]bool{}
	outside := false
	for _, f := range flows {
		if f.First == nil {
			outside = true
		} else {
			namespaces[f.Namespace] = true
		}
	}
	inside := "in " + policy.Plural(len(namespaces), "namespace")
	switch {
	case len(namespaces) == 0:
		return "outside the cluster"
	case outside:
		return inside + " and outside the cluster"
	}
	return inside
}

// maxEdits bounds how many edited labels one line names.
const maxEdits = 2

// namespaceEdits writes what happens to the labels that policies read ("team=web removed"), and takes it back.
func namespaceEdits(c *policy.Change) (words string, fix *policy.Fix) {
	read := namespaceKeys(c)
	var edits, kept, left []string
	fixed := labels.Merge(c.NewLabels, nil)
	for _, k := range changedKeys(c.OldLabels, c.NewLabels) {
		if !read[k] {
			continue
		}
		was, had := c.OldLabels[k]
		is, has := c.NewLabels[k]
		switch {
		case !has:
			edits = append(edits, k+"="+was+" removed")
		case !had:
			edits, left = append(edits, k+"="+is+" added"), append(left, k+"="+is)
			delete(fixed, k)
		default:
			edits = append(edits, k+"="+was+"->"+is)
		}
		if had {
			kept = append(kept, k+"="+was)
			fixed[k] = was
		}
	}
	var say []string
	if len(kept) > 0 {
		say = append(say, "keep "+strings.Join(kept, ","))
	}
	if len(left) > 0 {
		say = append(say, "leave out "+strings.Join(left, ","))
	}
	if n := len(edits) - maxEdits; n > 0 {
		edits = append(edits[:maxEdits], fmt.Sprintf("+%d", n))
	}
	return strings.Join(edits, ", "), &policy.Fix{Say: strings.Join(say, ", "), Labels: fixed}
}

// changedKeys lists the keys whose labels differ, sorted.
func changedKeys(old, new labels.Set) []string {
	var out []string
	for k, v := range old {
		if now, ok := new[k]; k != corev1.LabelMetadataName && (!ok || now != v) {
			out = append(out, k)
		}
	}
	for k := range new {
		if _, ok := old[k]; k != corev1.LabelMetadataName && !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// namespaceKeys gives the keys of Namespace labels that some policy of the cluster reads.
func namespaceKeys(c *policy.Change) map[string]bool {
	read := map[string]bool{}
	add := func(s *netpol.Selector) {
		if s != nil {
			for _, k := range s.Keys() {
				read[k] = true
			}
		}
	}
	for n := range c.After.All() {
		for _, p := range n.Policies {
			for _, rules := range p.Rules {
				for i := range rules {
					for j := range rules[i].Peers {
						add(rules[i].Peers[j].Namespaces)
					}
				}
			}
		}
	}
	if t := c.After.Tiers(); t != nil {
		for _, tier := range t.Policies {
			for _, p := range tier {
				add(&p.Namespaces)
				for _, rules := range p.Rules {
					for i := range rules {
						for j := range rules[i].Peers {
							add(rules[i].Peers[j].Namespaces)
						}
					}
				}
			}
		}
	}
	return read
}
