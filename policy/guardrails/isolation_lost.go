package guardrails

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// isolationLost: a live pod was isolated in a direction before the change and is not after it. A namespace that is
// being deleted never gets here.
var isolationLost = policy.Guardrail{
	Slug:          "isolation-lost",
	Summary:       "pods that were isolated become open to everything",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Check:         checkIsolationLost,
	Documentation: policy.Documentation{
		Why: `A pod that no policy selects in a direction is open to everything in it. Deleting or narrowing the last policy
that selects a pod therefore does not remove a rule, it removes the wall.`,
		Judged: `Each direction of each pod whose policies the change touches: was it isolated by any policy before, and is it by
none after? Another policy that still isolates the pod, a new one created before the old one is deleted included, makes the
change fine. Deletions that are part of deleting the namespace are never judged.`,
		Bad: `# kubectl delete networkpolicy default-deny, with no other policy that selects the pods
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `# apply the policy that takes over first, then delete default-deny
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: baseline}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Fix: `Apply a policy that keeps the pods isolated first. If the pods are to be open, say so with a policy that allows what
they need.`,
	},
}

func checkIsolationLost(c *policy.Change, _ any) []policy.Violation {
	var lost []*policy.Subject
	var directions []netpol.Direction
	for _, d := range netpol.Directions {
		before := len(lost)
		for i := range c.Subjects {
			if s := &c.Subjects[i]; s.Existed && s.Before.Isolated(d) && !s.After.Isolated(d) {
				lost = append(lost, s)
			}
		}
		if len(lost) > before {
			directions = append(directions, d)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	workloads, live := policy.Worse(unique(lost))
	open := "all " + directionWords(directions)
	v := policy.Violation{
		Field: "spec.podSelector", Live: live, Affected: policy.Affect(workloads),
		Detail: fmt.Sprintf("this change leaves %s open to %s; no other policy isolates %s",
			policy.Count(workloads), open, agree(workloads, "it", "them")),
	}
	if live {
		v.Headline = fmt.Sprintf("%s would be open to %s", policy.Plural(policy.LivePods(workloads), "live pod"), open)
	}
	switch {
	case c.NewWorkload != nil:
		v.Field, v.Fix = labelsField(c), keepLabels(c)
		v.Detail = fmt.Sprintf("these labels leave %s open to %s; no policy isolates it any more", policy.Names(workloads), open)
	case c.NewPolicy == nil:
		v.Field, v.Fix = "", isolationFix(c, directions)
		v.Detail = fmt.Sprintf("deleting %s leaves %s open to %s; no other policy isolates %s",
			c.Name, policy.Count(workloads), open, agree(workloads, "it", "them"))
	case selectsAll(c.NewPolicy, workloads, c):
		v.Field, v.Fix = "spec.policyTypes", policyTypesFix(c, directions)
	default:
		v.Fix = isolationFix(c, directions)
	}
	return []policy.Violation{v}
}

// policyTypesFix names the lost directions again. Egress without rules would cut DNS, which the change did not mean to.
func policyTypesFix(c *policy.Change, directions []netpol.Direction) *policy.Fix {
	fixed := c.Object.DeepCopy()
	lines := map[string]any{}
	for _, d := range directions {
		fixed.Spec.PolicyTypes = append(fixed.Spec.PolicyTypes, networkingv1.PolicyType(d.String()))
		if r := c.After.Resolver(); d == netpol.Egress && len(fixed.Spec.Egress) == 0 && r.Known() {
			fixed.Spec.Egress = append(fixed.Spec.Egress, resolverRule(r))
			lines["egress"] = fixed.Spec.Egress
		}
	}
	slices.SortFunc(fixed.Spec.PolicyTypes, func(a, b networkingv1.PolicyType) int { return strings.Compare(string(b), string(a)) })
	lines["policyTypes"] = fixed.Spec.PolicyTypes
	return &policy.Fix{Say: "keep under spec:", YAML: pasteable.YAML(lines), Instead: fixed}
}

// isolationFix keeps the pods isolated by a policy of its own. Where that isolates them for egress it lets DNS through,
// so that the fix does not cut what the change did not mean to.
func isolationFix(c *policy.Change, directions []netpol.Direction) *policy.Fix {
	first := newPolicy(c, "keep-isolated", c.OldPolicy.Subject.Source())
	for _, d := range directions {
		first.Spec.PolicyTypes = append(first.Spec.PolicyTypes, networkingv1.PolicyType(d.String()))
		if r := c.After.Resolver(); d == netpol.Egress && r.Known() {
			first.Spec.Egress = append(first.Spec.Egress, resolverRule(r))
		}
	}
	return &policy.Fix{
		Say: "apply a policy that keeps them isolated first, with the rules that they need:", YAML: pasteable.YAML(first),
		First: []*networkingv1.NetworkPolicy{first},
	}
}

func directionWords(directions []netpol.Direction) string {
	var words []string
	for _, d := range directions {
		words = append(words, strings.ToLower(d.String()))
	}
	return strings.Join(words, " and ")
}

func unique(subjects []*policy.Subject) []*policy.Subject {
	seen := map[*policy.Subject]bool{}
	var out []*policy.Subject
	for _, s := range subjects {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
