package guardrails

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// orPair is two neighbouring peers of a rule, one with a namespaceSelector alone and one with a podSelector alone.
type orPair struct {
	place                  // of the first of the two
	ports                  []netpol.PortMatch
	wide, narrow, together *netpol.Peer // the peer for the namespaces, the one for the pods, and both as one
}

// orPairAt gives the pair of the rule's peers j and j+1; ok is false where these are no such pair.
func orPairAt(d netpol.Direction, rules []netpol.Rule, i, j int) (pair orPair, ok bool) {
	peers := rules[i].Peers
	if j+1 >= len(peers) {
		return orPair{}, false
	}
	wide, narrow := &peers[j], &peers[j+1]
	if wide.Namespaces == nil {
		wide, narrow = narrow, wide
	}
	if wide.Namespaces == nil || wide.Pods != nil || narrow.Namespaces != nil || narrow.Pods == nil || narrow.Pods.Everything() {
		return orPair{}, false
	}
	return orPair{
		place: place{d, i, j, &peers[j]}, ports: rules[i].Ports,
		wide: wide, narrow: narrow, together: &netpol.Peer{Namespaces: wide.Namespaces, Pods: narrow.Pods},
	}, true
}

// orFinder looks for pairs in one change.
type orFinder struct {
	change *policy.Change
	budget int // of comparisons
}

// pairs lists the pairs of direction d that look like one peer each and that the change brings.
func (f *orFinder) pairs(d netpol.Direction) []orPair {
	if !f.change.NewPolicy.Isolates[d] {
		return nil
	}
	var out []orPair
	old := rulePeers(f.change.OldPolicy, d)
	resolver := f.change.After.Resolver()
	rules := f.change.NewPolicy.Rules[d]
	for i := range rules {
		if d == netpol.Egress && isDNSRule(&rules[i], resolver) {
			continue
		}
		for j := 0; j < len(rules[i].Peers) && f.budget >= 0; j++ {
			if pair, ok := orPairAt(d, rules, i, j); ok && !f.foundIn(old, &pair) && f.meantTogether(&pair) {
				out = append(out, pair)
				j++ // the second of the two is no part of another pair
			}
		}
	}
	return out
}

// rulePeers says by rule which peers the policy has, by their keys.
func rulePeers(p *netpol.Policy, d netpol.Direction) []map[string]bool {
	if p == nil || !p.Isolates[d] {
		return nil
	}
	out := make([]map[string]bool, len(p.Rules[d]))
	for i := range p.Rules[d] {
		out[i] = map[string]bool{}
		for j := range p.Rules[d][i].Peers {
			out[i][peerKey(&p.Rules[d][i].Peers[j])] = true
		}
	}
	return out
}

// foundIn reports whether one of the rules has both peers of the pair.
func (f *orFinder) foundIn(rules []map[string]bool, p *orPair) bool {
	if len(rules) == 0 {
		return false
	}
	f.budget -= len(rules)
	wide, narrow := peerKey(p.wide), peerKey(p.narrow)
	return slices.ContainsFunc(rules, func(peers map[string]bool) bool { return peers[wide] && peers[narrow] })
}

// meantTogether reports whether the pods are in the pair's namespaces and not in the policy's own. Once the budget is used
// up it says no.
func (f *orFinder) meantTogether(p *orPair) bool {
	if _, here := lookFor(f.change, p.narrow, &f.budget); here || f.budget < 0 {
		return false
	}
	_, there := lookFor(f.change, p.together, &f.budget)
	return there
}

// opens reports whether the pair lets all pods of its namespaces through where the other rules would not, and to or from
// which subjects; others is the policy without any pair's namespaces. Before there are any subjects it decides alone. worse
// says that live pods among them were isolated before and did not let all of those pods through.
func (f *orFinder) opens(p *orPair, others *netpol.Policy) (hit []*policy.Subject, opens, worse bool) {
	c := f.change
	wide := remembered{
		rules: []netpol.Rule{{Peers: []netpol.Peer{*p.wide}, Ports: p.ports}}, direction: p.direction,
		budget: &f.budget, known: map[string]bool{},
	}
	selected := selectedSubjects(c)
	if len(selected) == 0 {
		return nil, !wide.coveredBy("", []*netpol.Policy{others}), false
	}
	for _, s := range selected {
		after := slices.Clone(s.After.Policies)
		after[slices.Index(after, c.NewPolicy)] = others
		if wide.coveredBy("after", after) {
			continue
		}
		hit = append(hit, s)
		worse = worse || s.Live() && s.Before.Isolated(p.direction) && !wide.coveredBy("before", s.Before.Policies)
	}
	return hit, len(hit) > 0, worse
}

// remembered keeps what covered says of some rules: most workloads share their policies.
type remembered struct {
	rules     []netpol.Rule
	direction netpol.Direction
	budget    *int
	known     map[string]bool // by side and the policies' names
}

// coveredBy reports whether the policies allow all that the rules do. Once the budget is used up it says yes, because what is
// not known is no violation.
func (r *remembered) coveredBy(side string, policies []*netpol.Policy) bool {
	*r.budget -= len(policies)
	key := side
	for _, p := range policies {
		key += "/" + p.Name
	}
	known, ok := r.known[key]
	if !ok {
		for _, p := range policies {
			*r.budget -= len(p.Rules[r.direction])
		}
		known = *r.budget < 0 || covered(r.rules, policies, r.direction)
		r.known[key] = known
	}
	return known
}

// withoutWide gives the policy without the pairs' peers for namespaces: of two such pairs none excuses the other.
func withoutWide(np *netpol.Policy, d netpol.Direction, pairs []orPair) *netpol.Policy {
	wide := map[*netpol.Peer]bool{}
	for i := range pairs {
		wide[pairs[i].wide] = true
	}
	out := *np
	out.Rules[d] = slices.Clone(np.Rules[d])
	for i := range out.Rules[d] {
		rule := &out.Rules[d][i]
		kept := make([]netpol.Peer, 0, len(rule.Peers))
		for j := range rule.Peers {
			if !wide[&rule.Peers[j]] {
				kept = append(kept, rule.Peers[j])
			}
		}
		rule.Peers = kept
	}
	return &out
}
