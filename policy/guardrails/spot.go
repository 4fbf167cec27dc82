package guardrails

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// spot is one peer of a rule, or a whole rule without peers, where item is -1.
type spot struct {
	policy     *netpol.Policy
	direction  netpol.Direction
	rule, item int
}

func (s *spot) at() *netpol.Rule { return &s.policy.Rules[s.direction][s.rule] }

// block gives the spot's ipBlock; nil for a rule without peers.
func (s *spot) block() *netpol.IPBlock {
	if s.item < 0 {
		return nil
	}
	return s.at().Peers[s.item].Block
}

// addresses gives what the spot allows of within.
func (s *spot) addresses(within netip.Prefix) []netip.Prefix { return s.appendAddresses(nil, within) }

func (s *spot) appendAddresses(to []netip.Prefix, within netip.Prefix) []netip.Prefix {
	if b := s.block(); b != nil {
		return appendHeld(to, b, within)
	}
	return append(to, within)
}

// ranges lists the spots of the policy that allow addresses in direction d.
func ranges(p *netpol.Policy, d netpol.Direction) []spot {
	var out []spot
	if !p.Isolates[d] {
		return nil
	}
	for i := range p.Rules[d] {
		r := &p.Rules[d][i]
		if len(r.Peers) == 0 {
			out = append(out, spot{p, d, i, -1})
		}
		for j := range r.Peers {
			if r.Peers[j].Block != nil {
				out = append(out, spot{p, d, i, j})
			}
		}
	}
	return out
}

// String writes the spot as messages do: "egress[0]", with the item where the rule has several: "egress[0].to[1]".
func (s *spot) String() string {
	if len(s.at().Peers) > 1 {
		return place{s.direction, s.rule, s.item, nil}.String()
	}
	return fmt.Sprintf("%s[%d]", strings.ToLower(s.direction.String()), s.rule)
}

func (s *spot) field() string {
	if s.item < 0 {
		return fmt.Sprintf("spec.%s", s)
	}
	return "spec." + place{s.direction, s.rule, s.item, nil}.String() + ".ipBlock"
}

// in writes the spot with its policy where that is not the reviewed one.
func (s *spot) in(c *policy.Change) string {
	if s.policy == c.NewPolicy {
		return s.String()
	}
	return fmt.Sprintf("policy %s %s", s.policy.Name, s)
}

// remove takes the spot out of spec, and the rule with its last peer: without peers a rule would allow everything. It gives
// what it took out.
func (s *spot) remove(spec *networkingv1.NetworkPolicySpec) string {
	whole := len(s.at().Peers) == 1
	switch {
	case whole && s.direction == netpol.Ingress:
		spec.Ingress = slices.Delete(spec.Ingress, s.rule, s.rule+1)
	case whole:
		spec.Egress = slices.Delete(spec.Egress, s.rule, s.rule+1)
	case s.direction == netpol.Ingress:
		r := &spec.Ingress[s.rule]
		r.From = slices.Delete(r.From, s.item, s.item+1)
	default:
		r := &spec.Egress[s.rule]
		r.To = slices.Delete(r.To, s.item, s.item+1)
	}
	return s.String()
}
