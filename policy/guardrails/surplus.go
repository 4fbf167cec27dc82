package guardrails

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// surplus is what of a policy adds nothing.
type surplus struct {
	// whole says that the policy adds nothing at all: no rule, and no isolation.
	whole bool
	// rules are those that add nothing to the others that are left, by direction and place.
	rules []surplusRule
}

// surplusRule is one rule that adds nothing.
type surplusRule struct {
	policy    *netpol.Policy
	direction netpol.Direction
	rule      int
	by        []ruleAt // what allows the same, in the order of the rule's peers and ports
}

// ruleAt is one rule of a policy.
type ruleAt struct {
	policy *netpol.Policy
	rule   int
}

// allowed is one flow and the rule that allows it.
type allowed struct {
	flow
	ruleAt
}

// maxSurplusPairs bounds the pairs of flows that are compared, in each direction of the old and the new policy: some
// milliseconds.
const maxSurplusPairs = 250_000

// surplusOf compares the rules of p with each other and with those of the namespace's policies that select all that p selects.
func surplusOf(p *netpol.Policy, policies []*netpol.Policy) *surplus {
	out := &surplus{whole: true}
	var others []*netpol.Policy
	for _, o := range policies {
		if o.Name != p.Name && demandsNoMore(o.Subject, p.Subject) {
			others = append(others, o)
		}
	}
	for _, d := range netpol.Directions {
		if !p.Isolates[d] {
			continue
		}
		found := surplusRules(p, others, d)
		out.rules = append(out.rules, found...)
		elsewhere := !slices.ContainsFunc(found, func(r surplusRule) bool { return r.within() })
		isolated := slices.ContainsFunc(others, func(o *netpol.Policy) bool { return o.Isolates[d] })
		out.whole = out.whole && isolated && elsewhere && len(found) == len(p.Rules[d])
	}
	return out
}

// surplusRules goes through the rules of p from the last to the first, so that of two equal ones the first stays.
func surplusRules(p *netpol.Policy, others []*netpol.Policy, d netpol.Direction) []surplusRule {
	var have []allowed
	for _, o := range append(slices.Clip(others), p) { // another policy is named before a rule of this one
		if !o.Isolates[d] {
			continue
		}
		for i := range o.Rules[d] {
			for _, f := range flows(o.Rules[d][i : i+1]) {
				have = append(have, allowed{f, ruleAt{o, i}})
			}
		}
	}
	if len(have)*len(flows(p.Rules[d])) > maxSurplusPairs {
		return nil // what is not known is no violation
	}
	var out []surplusRule
	for i := range slices.Backward(p.Rules[d]) {
		at := ruleAt{p, i}
		if by, all := coverers(&p.Rules[d][i], at, have); all {
			out = append(out, surplusRule{p, d, i, by})
			have = slices.DeleteFunc(have, func(a allowed) bool { return a.ruleAt == at })
		}
	}
	slices.Reverse(out)
	return out
}

// coverers lists the other rules that allow what the rule does, and says whether they allow all of it.
func coverers(r *netpol.Rule, at ruleAt, have []allowed) (by []ruleAt, all bool) {
	for _, f := range flows([]netpol.Rule{*r}) {
		i := slices.IndexFunc(have, func(h allowed) bool { return h.ruleAt != at && h.covers(&f) })
		if i < 0 {
			return nil, false
		}
		if !slices.Contains(by, have[i].ruleAt) {
			by = append(by, have[i].ruleAt)
		}
	}
	return by, true
}

// demandsNoMore reports whether everything that narrow selects is selected by wide: each requirement of wide is one of
// narrow's.
func demandsNoMore(wide, narrow netpol.Selector) bool {
	have := narrow.Requirements()
	for _, r := range wide.Requirements() {
		if !slices.ContainsFunc(have, func(h labels.Requirement) bool { return sameDemand(&r, &h) }) {
			return false
		}
	}
	return true
}

// sameDemand reports whether two requirements are written alike; most differ in their keys, and texts are dear.
func sameDemand(a, b *labels.Requirement) bool {
	return a.Key() == b.Key() && a.Operator() == b.Operator() && a.String() == b.String()
}

// within reports whether another rule of the same policy is needed to make the rule superfluous.
func (r *surplusRule) within() bool {
	return slices.ContainsFunc(r.by, func(at ruleAt) bool { return at.policy == r.policy })
}

func (r *surplusRule) String() string { return fmt.Sprintf("%s[%d]", r.direction.Field(), r.rule) }

// key tells rules apart by what is written in them, not by their place or order.
func (r *surplusRule) key() string {
	rule := &r.policy.Rules[r.direction][r.rule]
	var parts []string
	for i := range rule.Peers {
		parts = append(parts, peerKey(&rule.Peers[i]))
	}
	for _, p := range rule.Ports {
		parts = append(parts, fmt.Sprint("port ", p))
	}
	slices.Sort(parts)
	return r.direction.Field() + " " + strings.Join(parts, "; ")
}

// alreadyAllow says who allows what the whole policy does.
func (s *surplus) alreadyAllow() string {
	var by []ruleAt
	for i := range s.rules {
		by = append(by, s.rules[i].by...)
	}
	return alreadyAllow(by, nil, 0)
}

// alreadyAllow says who allows the same: "policy allow-frontend already allows", "egress[0] already allows". Rules of the
// policy own are named by their place in direction d.
func alreadyAllow(by []ruleAt, own *netpol.Policy, d netpol.Direction) string {
	var rules []string
	var policies []*netpol.Policy
	for _, at := range by {
		switch {
		case at.policy == own:
			rules = append(rules, fmt.Sprintf("%s[%d]", d.Field(), at.rule))
		case !slices.Contains(policies, at.policy):
			policies = append(policies, at.policy)
		}
	}
	words := rules
	switch {
	case len(policies) == 1:
		words = append(words, "policy "+policies[0].Name)
	case len(policies) > 1:
		words = append(words, "policies "+policyNames(policies))
	}
	verb := "already allow"
	if len(rules)+len(policies) == 1 {
		verb = "already allows"
	}
	return strings.Join(words, " and ") + " " + verb
}
