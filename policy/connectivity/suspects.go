package connectivity

import (
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// suspects gives the namespaces, sorted, in which a touched workload's connections may differ between both sides. For
// all others it is certain that they do not: what they allow with the workload is the same, and what the workload allows
// with them is, too.
func (r *changes) suspects(b, a *near, seen bool) []*spacePair {
	// Tiers that are the same for a workload that looks the same decide alike on both sides, whatever they decide.
	oneByOne := (r.before.shared.oneByOne || r.after.shared.oneByOne) && (!seen || !sameTiers(b, a))
	restricted := b.governed && b.isolated
	if oneByOne || b.governed != a.governed || b.isolated != a.isolated || !restricted && !seen {
		return r.everywhere(b, a)
	}
	names := map[string]bool{}
	for name := range r.in {
		names[name] = true
	}
	if restricted {
		was, is := b.rules, a.rules
		if seen && (b.d == netpol.Egress || slices.Equal(b.e.Ports, a.e.Ports)) {
			// What both sides' rules allow alike does not differ.
			was, is = without(b.rules, a.rules), without(a.rules, b.rules)
		}
		if !b.reach(was, names) || !a.reach(is, names) {
			return r.everywhere(b, a)
		}
	}
	var out []*spacePair
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if p := r.pair(name); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// others are all namespaces as one namespace's workloads meet them in one direction.
type others struct {
	d         netpol.Direction
	namespace string
}

// everywhere gives all namespaces in which somebody may talk to the workload, the same for all of its namespace.
func (r *changes) everywhere(b, a *near) []*spacePair {
	key := others{b.d, a.e.Namespace}
	out, done := r.others[key]
	if !done {
		relabelled := !maps.Equal(b.e.NamespaceLabels, a.e.NamespaceLabels)
		for n := range r.after.s.All() {
			if r.closed(n, opposite(b.d), b.e, a.e, relabelled) {
				continue
			}
			if p := r.pair(n.Name); p != nil && len(r.willing(p, opposite(b.d), b.e, a.e)) > 0 {
				out = append(out, p)
			}
		}
		r.others[key] = out
	}
	return out
}

// closed reports whether it is certain that nobody in the namespace talks to pods of the other one, before and after.
// Most namespaces of a large cluster are, so nothing is made for them.
// relabelled says that the namespace's labels differ between both sides, which are all that is read of them.
func (r *changes) closed(n *cluster.Namespace, d netpol.Direction, before, after netpol.Endpoint, relabelled bool) bool {
	if n.Name == after.Namespace || r.before.s.Namespace(n.Name) != n || r.before.shared.oneByOne || r.after.shared.oneByOne {
		return false
	}
	c := r.after.s.Coverage(n)
	if len(c.Open[d]) > 0 {
		return false
	}
	for _, ref := range c.Foreign[d] {
		if mayMatch(ref.Rule, n.Name, after.Namespace, after) || relabelled && mayMatch(ref.Rule, n.Name, after.Namespace, before) {
			return false
		}
	}
	return true
}

// willing gives the places of the peers that may allow connections with a workload: all, or, where it is certain that
// the isolated ones refuse it before and after, the others: no rule of theirs looks for pods in its namespace.
func (r *changes) willing(p *spacePair, d netpol.Direction, before, after netpol.Endpoint) []int32 {
	if p.same && p.after.n.Name != after.Namespace && !r.before.shared.oneByOne && !r.after.shared.oneByOne &&
		len(r.before.towards(p.before, d, before.Namespace)) == 0 && len(r.after.towards(p.after, d, after.Namespace)) == 0 {
		return p.after.coverage.Open[d]
	}
	if p.everyone == nil {
		p.everyone = make([]int32, p.size())
		for i := range p.everyone {
			p.everyone[i] = int32(i)
		}
	}
	return p.everyone
}

// reach adds the namespaces in which the rules can match pods; it gives false where those may be all.
func (n *near) reach(rules []*netpol.Rule, names map[string]bool) bool {
	for _, r := range rules {
		if len(r.Peers) == 0 {
			return false
		}
		for i := range r.Peers {
			p := &r.Peers[i]
			switch {
			case p.Block != nil:
			case p.Namespaces == nil:
				names[n.e.Namespace] = true
			case p.Namespaces.Everything():
				return false
			default:
				for _, ns := range n.v.selection(p.Namespaces).list {
					names[ns.Name] = true
				}
			}
		}
	}
	return true
}

// manyRules is from how many rules on a set finds one faster than looking through them.
const manyRules = 32

// without gives the rules of a that are none of b's.
func without(a, b []*netpol.Rule) []*netpol.Rule {
	has := func(r *netpol.Rule) bool { return slices.Contains(b, r) }
	if len(b) >= manyRules {
		set := make(map[*netpol.Rule]struct{}, len(b))
		for _, r := range b {
			set[r] = struct{}{}
		}
		has = func(r *netpol.Rule) bool { _, ok := set[r]; return ok }
	}
	var out []*netpol.Rule
	for _, r := range a {
		if !has(r) {
			out = append(out, r)
		}
	}
	return out
}

// tells remembers whether a namespace's rules tell two versions of a touched namespace's labels apart.
type tells uint8

const (
	unknown tells = iota
	tellsApart
	tellsNot
)

// distinguishes reports whether a rule of the namespace may tell the two versions of a peer apart, in direction d as its
// own pods see it.
func (r *changes) distinguishes(p *spacePair, d netpol.Direction, before, after netpol.Endpoint) bool {
	if r.after.shared.oneByOne || p.after.n.Name == after.Namespace || !slices.Equal(before.Ports, after.Ports) ||
		before.HostNetwork != after.HostNetwork {
		return true
	}
	byLabels := !maps.Equal(before.Labels, after.Labels)
	if !byLabels && p.tells[d] != unknown {
		return p.tells[d] == tellsApart
	}
	apart := false
	for _, ref := range p.after.coverage.Foreign[d] {
		for i := range ref.Rule.Peers {
			peer := &ref.Rule.Peers[i]
			if peer.Namespaces == nil {
				continue
			}
			was, is := peer.Namespaces.Matches(before.NamespaceLabels), peer.Namespaces.Matches(after.NamespaceLabels)
			apart = apart || was != is || byLabels && was && peer.Pods != nil && peer.Pods.Matches(before.Labels) != peer.Pods.Matches(after.Labels)
		}
	}
	if !byLabels {
		// All workloads of the namespace share its labels.
		if p.tells[d] = tellsNot; apart {
			p.tells[d] = tellsApart
		}
	}
	return apart
}
