package guardrails

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// redundant: a policy, or a rule of it, allows nothing that other rules do not allow to the same pods whatever pods there will
// be. That today's pods happen to be selected by both policies is not enough.
var redundant = policy.Guardrail{
	Slug:          "redundant",
	Summary:       "a policy or a rule adds nothing to what others allow",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Audit,
	Check:         checkRedundant,
	Documentation: policy.Documentation{
		Why: `A rule that adds nothing makes people believe that it is what lets a connection through: they delete it, and nothing
changes, or keep it for years after its reason is gone.`,
		Judged: `The rules of a policy that is created or updated, one by one, against the policy's other rules and against the
policies that select the same pods because their ` + "`podSelector`" + ` demands the same labels, fewer, or none: do those allow each
of its peers on each of its ports? Selectors are compared as they are written, ranges of addresses and ports by what they hold.
Where this is so for all rules and the pods are isolated in the same directions without the policy, the whole policy adds nothing.
Policies without rules are never complained about, and neither are those that say what they are for: with the annotation
` + "`kubernetes.io/description`" + ` or ` + "`description`" + ` a policy has a value of its own. What was redundant before an update
is left alone.`,
		Bad: `# beside a policy that lets everything of the namespace reach app=api
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api-from-web}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
`,
		Good: `# beside the same policy, for somebody whom it does not let in
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api-from-ingress}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
`,
		Fix: "Leave out the rule, or narrow the one that covers it. A policy that is there for its readers says so in a description.",
	},
}

// descriptions are the annotations that say what a policy is for.
// Source: kubernetes.io/docs/reference/labels-annotations-taints, kubernetes.io/description.
var descriptions = [...]string{"kubernetes.io/description", "description"}

func checkRedundant(c *policy.Change, _ any) []policy.Violation {
	if slices.ContainsFunc(descriptions[:], func(key string) bool { return c.Object.Annotations[key] != "" }) {
		return nil
	}
	now := surplusOf(c.NewPolicy, c.After.Policies(c.Namespace))
	if len(now.rules) == 0 {
		return nil
	}
	before := &surplus{}
	if c.OldPolicy != nil {
		before = surplusOf(c.OldPolicy, c.Before.Policies(c.Namespace))
	}
	switch {
	case now.whole && before.whole:
		return nil
	case now.whole:
		return []policy.Violation{{
			Field: "spec", Detail: fmt.Sprintf("policy %s adds nothing: %s it", c.Name, now.alreadyAllow()),
		}}
	}
	var out []policy.Violation
	for i := range now.rules {
		r := &now.rules[i]
		if slices.ContainsFunc(before.rules, func(b surplusRule) bool { return b.key() == r.key() }) || len(out) == maxDeadPeers {
			continue
		}
		out = append(out, policy.Violation{
			Field: "spec." + r.String(), Fix: now.without(c.Object),
			Detail: fmt.Sprintf("%s adds nothing: %s it", r, alreadyAllow(r.by, r.policy, r.direction)),
		})
	}
	return out
}

// without takes the surplus rules out of the policy.
func (s *surplus) without(np *networkingv1.NetworkPolicy) *policy.Fix {
	fixed := np.DeepCopy()
	var removed []string
	for _, r := range slices.Backward(s.rules) { // the places of earlier rules stay
		if r.direction == netpol.Ingress {
			fixed.Spec.Ingress = slices.Delete(fixed.Spec.Ingress, r.rule, r.rule+1)
		} else {
			fixed.Spec.Egress = slices.Delete(fixed.Spec.Egress, r.rule, r.rule+1)
		}
		removed = append(removed, "spec."+r.String())
	}
	slices.Reverse(removed)
	if n := len(removed) - maxPolicies; n > 0 {
		removed = append(removed[:maxPolicies], fmt.Sprintf("+%d", n))
	}
	return &policy.Fix{Say: "remove " + strings.Join(removed, ", "), Instead: fixed}
}
