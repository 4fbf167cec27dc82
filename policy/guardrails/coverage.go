package guardrails

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// flow is one peer together with one port of a rule: the smallest part of what a rule allows.
type flow struct {
	anyPeer          bool
	block            *netpol.IPBlock
	namespaces, pods string            // as written; allOf for what selects all
	port             *netpol.PortMatch // nil for all ports
}

// own and allOf stand for selectors in a flow; neither is how a selector is written.
const (
	own   = "(own)"
	allOf = "(all)"
)

func written(s *netpol.Selector) string {
	if s.Everything() {
		return allOf
	}
	return s.String()
}

// flows lists what the rules allow.
func flows(rules []netpol.Rule) []flow {
	var out []flow
	for i := range rules {
		r := &rules[i]
		peers := []flow{{anyPeer: true}}
		if len(r.Peers) > 0 {
			peers = peers[:0]
		}
		for j := range r.Peers {
			p := &r.Peers[j]
			f := flow{block: p.Block, namespaces: own, pods: allOf}
			if p.Namespaces != nil {
				f.namespaces = written(p.Namespaces)
			}
			if p.Pods != nil {
				f.pods = written(p.Pods)
			}
			peers = append(peers, f)
		}
		for _, f := range peers {
			for j := range r.Ports {
				f.port = &r.Ports[j]
				out = append(out, f)
			}
			if len(r.Ports) == 0 {
				out = append(out, f)
			}
		}
	}
	return out
}

// covers reports whether f allows at least what g does. Selectors are compared as they are written, ranges of
// addresses and ports by what they hold.
func (f *flow) covers(g *flow) bool {
	if f.port != nil && (g.port == nil || !portsCover(f.port, g.port)) {
		return false
	}
	switch {
	case f.anyPeer:
		return true
	case g.anyPeer || (f.block == nil) != (g.block == nil):
		return false
	case f.block != nil:
		return blockCovers(f.block, g.block)
	}
	return (f.namespaces == allOf || f.namespaces == g.namespaces) && (f.pods == allOf || f.pods == g.pods)
}

func portsCover(wide, narrow *netpol.PortMatch) bool {
	if wide.Protocol != narrow.Protocol {
		return false
	}
	if wide.Name != "" || narrow.Name != "" {
		return wide.Name == narrow.Name || wide.Name == "" && wide.Number == 0
	}
	return wide.Number == 0 || narrow.Number != 0 && wide.Number <= narrow.Number && narrow.End <= wide.End
}

func blockCovers(wide, narrow *netpol.IPBlock) bool {
	if !holdsPrefix(wide.CIDR, narrow.CIDR) {
		return false
	}
	for _, x := range wide.Except {
		if x.Overlaps(narrow.CIDR) && !slices.ContainsFunc(narrow.Except, func(e netip.Prefix) bool { return holdsPrefix(e, x) }) {
			return false
		}
	}
	return true
}

func holdsPrefix(wide, narrow netip.Prefix) bool {
	return wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
}

// maxFlowPairs bounds the pairs of flows that are compared: some ten milliseconds.
const maxFlowPairs = 1_000_000

// covered reports whether the policies allow in direction d all that the rules do. Where that would take too many
// comparisons the answer is yes, because what is not known is no violation.
func covered(rules []netpol.Rule, policies []*netpol.Policy, d netpol.Direction) bool {
	var have []flow
	for _, p := range policies {
		if p.Isolates[d] {
			have = append(have, flows(p.Rules[d])...)
		}
	}
	compared := 0
	for _, f := range flows(rules) {
		if compared += len(have); compared > maxFlowPairs {
			return true
		}
		if !slices.ContainsFunc(have, func(h flow) bool { return h.covers(&f) }) {
			return false
		}
	}
	return true
}

// maxPolicies bounds how many policies one line names.
const maxPolicies = 3

// policyNames lists the policies, which are sorted: "allow-web, default-deny, +2".
func policyNames(policies []*netpol.Policy) string {
	var names []string
	for _, p := range policies {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	if n := len(names); n > maxPolicies {
		names = append(names[:maxPolicies], fmt.Sprintf("+%d", n-maxPolicies))
	}
	return strings.Join(names, ", ")
}
