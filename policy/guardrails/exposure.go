package guardrails

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// exposure collects the subjects for which a part of the new policy allows more than their rules did before the change.
type exposure struct {
	direction netpol.Direction
	found     bool // subjects, or a policy that comes before its pods
	worse     bool // live pods among the subjects were isolated before
	subjects  []*policy.Subject
}

func (e *exposure) add(s *policy.Subject) {
	e.found = true
	if s.Workload == nil {
		return
	}
	e.subjects = append(e.subjects, s)
	e.worse = e.worse || s.Live() && s.Before.Isolated(e.direction)
}

// names lists the subjects: "app=api, app=web", or "the selected pods" where there are none yet.
func (e *exposure) names() string {
	workloads, _ := policy.Worse(e.subjects)
	return namesOrSelected(workloads)
}

// violation starts a violation at the field.
func (e *exposure) violation(field string) policy.Violation {
	workloads, _ := policy.Worse(e.subjects)
	return policy.Violation{Field: field, Live: e.worse, Affected: policy.Affect(workloads)}
}

// exposures looks for what the new policy exposes. Its budget bounds the comparisons for one request; once it is used up
// nothing more is found, because what is not known is no violation.
type exposures struct {
	change *policy.Change
	budget int
	// By netpol.Direction, once they are needed.
	groups [2][][]*policy.Subject
	ranges [2]map[*netpol.Policy][]spot
}

// of gives the subjects that the new policy selects in groups of which direction d tells no two apart, or what stands for
// the pods of a policy that comes before them.
func (x *exposures) of(d netpol.Direction) [][]*policy.Subject {
	if x.groups[d] == nil {
		x.groups[d] = alike(selectedSubjects(x.change), d)
		if len(x.groups[d]) == 0 {
			x.groups[d] = [][]*policy.Subject{{podsToCome(x.change)}}
		}
	}
	return x.groups[d]
}

// podsToCome stands for the pods of a policy that comes before its pods: it applies to them, and so do those of the namespace's
// other policies that select all that it selects. It has no workload.
func podsToCome(c *policy.Change) *policy.Subject {
	var others []*netpol.Policy
	for _, p := range c.Before.Policies(c.Namespace) {
		if p.Name != c.Name && demandsNoMore(p.Subject, c.NewPolicy.Subject) {
			others = append(others, p)
		}
	}
	s := &policy.Subject{
		Before: policy.Coverage{Policies: others}, After: policy.Coverage{Policies: append(slices.Clip(others), c.NewPolicy)},
	}
	if c.OldPolicy != nil {
		s.Before.Policies = append(slices.Clip(others), c.OldPolicy)
	}
	return s
}

// by collects the subjects whose rules did not allow all that the rule does before the change. Those that are excused are
// left out, and those whose pods know none of its ports by name.
func (x *exposures) by(d netpol.Direction, rule *netpol.Rule, excused func(*policy.Subject) bool) *exposure {
	out := &exposure{direction: d}
	before := remembered{rules: []netpol.Rule{*rule}, direction: d, budget: &x.budget, known: map[string]bool{}}
	for _, group := range x.of(d) {
		s := group[0]
		if x.budget--; x.budget < 0 {
			break
		}
		if s.Workload != nil && d == netpol.Ingress && portsOf(rule, d, s.After.Endpoint.Ports).Empty() {
			continue
		}
		if before.coveredBy("", s.Before.Policies) {
			continue
		}
		for _, s := range group {
			if !excused(s) && x.budget >= 0 {
				out.add(s)
			}
		}
	}
	return out
}

// keepResolver makes the fix of an egress rule let DNS through where it would cut it, and reports that it did: the YAML then has
// all of the policy's egress rules.
func keepResolver(c *policy.Change, f *policy.Fix) bool {
	r := c.After.Resolver()
	if !r.Known() {
		return false
	}
	if after, err := c.WithFix(f); err != nil || len(cutFromResolver(after, r)) == 0 {
		return false
	}
	spec := &f.Instead.Spec
	spec.Egress = append(spec.Egress, resolverRule(r))
	f.YAML = pasteable.YAML(map[string][]networkingv1.NetworkPolicyEgressRule{"egress": spec.Egress})
	return true
}
