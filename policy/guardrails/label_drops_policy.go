package guardrails

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// labelDropsPolicy: a label edit takes a pod out of policies that selected it, and that has an effect: the pod is no
// longer isolated in a direction, or it loses a rule that no policy that selects it now has too. A label that moves the
// pod to policies that say the same, and a label that is only added to what policies select on, have none.
var labelDropsPolicy = policy.Guardrail{
	Slug:          "label-drops-policy",
	Summary:       "a label edit takes pods out of the policies that selected them",
	On:            []policy.Trigger{policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Check:         checkLabelDropsPolicy,
	Documentation: policy.Documentation{
		Why: `Policies select pods by label, so changing a label changes what a pod may reach and what may reach it. Nothing in
the pod's manifest shows that.`,
		Judged: `An update of a pod's or pod template's labels: policies that selected it before and do not after. Each direction
that such a policy isolates has to stay isolated by a policy that selects the pod now, and each of its rules has to be there in
one of those: the same selectors, or none; the same ports and address ranges, or wider ones. Templates warn, because their pods
are only made later; new pods are not judged.`,
		Bad: `# kubectl label pod api-5d8f-x tier=be --overwrite, while this policy is all that isolates the pod
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: backend-policy}
spec:
  podSelector: {matchLabels: {tier: backend}}
  policyTypes: [Ingress]
`,
		Good: `# apply a policy that selects the new label first
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: be-policy}
spec:
  podSelector: {matchLabels: {tier: be}}
  policyTypes: [Ingress]
`,
		Fix: "Keep the labels that policies select on, or first apply a policy with the same rules that selects the new ones.",
	},
}

func checkLabelDropsPolicy(c *policy.Change, _ any) []policy.Violation {
	if c.OldWorkload == nil || len(c.Subjects) == 0 {
		return nil
	}
	s := &c.Subjects[0]
	var dropped []*netpol.Policy
	for _, p := range s.Before.Policies {
		if !slices.Contains(s.After.Policies, p) {
			dropped = append(dropped, p)
		}
	}
	if len(dropped) == 0 {
		return nil
	}
	effects := effectsOf(dropped, &s.After)
	if effects == "" {
		return nil
	}
	pods := "the pod"
	if c.Trigger == policy.TemplateWrite {
		pods = "new pods"
	}
	edits, fix := labelEdits(dropped, c.OldWorkload.Labels, c.NewWorkload.Labels)
	what := "policy"
	if len(dropped) > 1 {
		what = "policies"
	}
	v := policy.Violation{
		Field: labelsField(c), Live: s.Live(), Affected: policy.Affect(workloadsOf([]*policy.Subject{s})), Fix: fix,
		Detail: fmt.Sprintf("%s drops %s %s: %s would %s", edits, what, policyNames(dropped), pods, effects),
	}
	if v.Live {
		v.Headline = fmt.Sprintf("1 live pod would drop out of %s", policy.Plural(len(dropped), "policy"))
	}
	return []policy.Violation{v}
}

// labelEdits writes what happens to the labels that the dropped policies select on ("label tier=backend->be"), and
// takes it back.
func labelEdits(dropped []*netpol.Policy, old, new labels.Set) (words string, fix *policy.Fix) {
	var keys, edits, kept, left []string
	for _, p := range dropped {
		keys = append(keys, p.Subject.Keys()...)
	}
	slices.Sort(keys)
	fixed := labels.Merge(new, nil)
	for _, k := range slices.Compact(keys) {
		was, had := old[k]
		is, has := new[k]
		switch {
		case had && has && was != is:
			edits = append(edits, k+"="+was+"->"+is)
		case had && !has:
			edits = append(edits, k+"="+was+" removed")
		case has && !had:
			edits = append(edits, k+"="+is+" added")
			left = append(left, k+"="+is)
			delete(fixed, k)
		}
		if had && (!has || was != is) {
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
	return "label " + strings.Join(edits, ", "), &policy.Fix{Say: strings.Join(say, ", "), Labels: fixed}
}

// effectsOf says what the pod would do without the dropped policies; nothing where the others make up for them.
func effectsOf(dropped []*netpol.Policy, after *policy.Coverage) string {
	var opened []netpol.Direction
	var cut []*netpol.Policy
	for _, d := range netpol.Directions {
		for _, p := range dropped {
			switch {
			case !p.Isolates[d]:
			case !after.Isolated(d):
				if !slices.Contains(opened, d) {
					opened = append(opened, d)
				}
			case !covered(p.Rules[d], after.Policies, d) && !slices.Contains(cut, p):
				cut = append(cut, p)
			}
		}
	}
	var out []string
	if len(opened) > 0 {
		out = append(out, "be open to all "+directionWords(opened))
	}
	switch {
	case len(cut) == 1 && len(dropped) == 1:
		out = append(out, "lose its rules")
	case len(cut) > 0:
		out = append(out, "lose the rules of "+policyNames(cut))
	}
	return strings.Join(out, " and ")
}
