package connectivity

import (
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// near is one workload's own side of its connections in one direction.
type near struct {
	v        *View
	d        netpol.Direction
	asked    int // its number, see picker
	e        netpol.Endpoint
	governed bool // policies apply to it
	isolated bool
	rules    []*netpol.Rule // of the policies that select and isolate it
	tiers    [2][]*netpol.TierPolicy
}

// near gives the side of a workload of the namespace whose coverage c is.
func (v *View) near(w *cluster.Covered, c *cluster.Coverage, d netpol.Direction) *near {
	v.asked++
	n := &near{v: v, d: d, asked: v.asked, e: v.endpoint(w.Workload), isolated: w.Isolated[d]}
	if n.governed = n.e.Governed(); !n.governed {
		return n
	}
	rules := 0
	for _, i := range w.Policies {
		if p := c.Policies[i]; p.Isolates[d] {
			rules += len(p.Rules[d])
		}
	}
	n.rules = make([]*netpol.Rule, 0, rules)
	for _, i := range w.Policies {
		if p := c.Policies[i]; p.Isolates[d] {
			for j := range p.Rules[d] {
				n.rules = append(n.rules, &p.Rules[d][j])
			}
		}
	}
	if t := v.s.Tiers(); t != nil {
		for tier := range n.tiers {
			n.tiers[tier] = t.Selecting(netpol.Tier(tier), n.e)
		}
	}
	return n
}

// declared gives the container ports on which named ports are resolved: the destination's.
func (n *near) declared(peer netpol.Endpoint) []netpol.ContainerPort {
	if n.d == netpol.Ingress {
		return n.e.Ports
	}
	return peer.Ports
}

// allows gives the ports that the near side allows between itself and any peer.
func (n *near) allows(peer netpol.Endpoint) Ports {
	switch {
	case !n.governed:
		return allPorts
	case n.isolated:
		return n.between(peer, n.union(peer))
	}
	return n.between(peer, allPorts)
}

// between puts the tiers around what NetworkPolicies allow with a peer: all, where they do not isolate the pods. The pods
// have to be governed where there are tiers.
func (n *near) between(peer netpol.Endpoint, policies Ports) Ports {
	accepted, rest := n.ask(netpol.AdminTier, allPorts, peer)
	if n.isolated {
		return accepted.Union(rest.Intersect(policies))
	}
	more, rest := n.ask(netpol.BaselineTier, rest, peer)
	return accepted.Union(more).Union(rest)
}

// union gives what the NetworkPolicies allow together.
func (n *near) union(peer netpol.Endpoint) Ports {
	var all portUnion
	for _, r := range n.rules {
		if r.MatchesPeer(n.e.Namespace, peer) {
			all.add(resolve(r.Ports, n.declared(peer)))
		}
	}
	return all.ports()
}

// ask gives what a tier makes of the ports: those that it accepts, and those that go on to the next tier.
func (n *near) ask(tier netpol.Tier, ports Ports, peer netpol.Endpoint) (accepted, passed Ports) {
	left := ports
	for _, p := range n.tiers[tier] {
		for i := range p.Rules[n.d] {
			r := &p.Rules[n.d][i]
			if left.Empty() || !r.MatchesPeer(peer) {
				continue
			}
			matched := left.Intersect(resolve(r.Ports, n.declared(peer)))
			left = left.Minus(matched)
			switch r.Action {
			case netpol.Accept:
				accepted = accepted.Union(matched)
			case netpol.Pass:
				passed = passed.Union(matched)
			}
		}
	}
	return accepted, passed.Union(left)
}

// scope is a near side towards the pods of one namespace.
type scope struct {
	*near
	// uniform says that all pods there fare alike: ports is what is allowed with each.
	uniform bool
	ports   Ports
	rules   []scopedRule
}

// scopedRule is a rule towards the pods of one namespace, with its ports.
type scopedRule struct {
	peerRule
	ports   Ports // unless they depend on the peer
	perPeer bool
}

// towards prepares the side for the pods of namespace ns.
func (n *near) towards(ns *cluster.Namespace) scope {
	s := scope{near: n}
	switch {
	case !n.governed:
		s.uniform, s.ports = true, allPorts
	case n.v.shared.oneByOne: // every pair by itself
	case !n.isolated:
		s.uniform, s.ports = true, allPorts
	default:
		for _, r := range n.rules {
			if scoped, some := n.scoped(r, ns); some {
				s.rules = append(s.rules, scoped)
			}
		}
		s.uniform = len(s.rules) == 0
	}
	return s
}

func (n *near) scoped(r *netpol.Rule, ns *cluster.Namespace) (out scopedRule, some bool) {
	out = scopedRule{peerRule: peerRule{rule: r, everyone: len(r.Peers) == 0}}
	for i := range r.Peers {
		p := &r.Peers[i]
		if p.Block != nil {
			continue
		}
		if p.Namespaces == nil && n.e.Namespace == ns.Name || p.Namespaces != nil && n.v.chooses(p.Namespaces, ns) {
			out.pods = append(out.pods, n.v.picker(p.Pods))
		}
	}
	if !out.everyone && len(out.pods) == 0 {
		return out, false
	}
	ports, named := n.v.fixed(r.Ports)
	switch {
	case !named:
		out.ports = ports
	case n.d == netpol.Ingress:
		out.ports = resolve(r.Ports, n.e.Ports)
	default:
		out.perPeer = true
	}
	return out, true
}

// portsWith gives the ports that the rule allows with a workload that it matches.
func (r *scopedRule) portsWith(y *cluster.Covered) Ports {
	if r.perPeer {
		return resolve(r.rule.Ports, y.Ports)
	}
	return r.ports
}

// allowsWorkload gives the ports that the near side allows between itself and a workload of the namespace.
func (s *scope) allowsWorkload(y *cluster.Covered) Ports {
	if s.uniform {
		return s.ports
	}
	if s.v.shared.oneByOne {
		return s.allows(s.v.endpoint(y.Workload))
	}
	var all portUnion
	for i := range s.rules {
		if r := &s.rules[i]; r.matches(y) {
			all.add(r.portsWith(y))
		}
	}
	return all.ports()
}

// matches reports whether the rule admits the workload, which is of the namespace.
func (r *scopedRule) matches(y *cluster.Covered) bool {
	if r.everyone {
		return true
	}
	if y.HostNetwork {
		return false
	}
	for _, p := range r.pods {
		if p == nil || p.sel.Matches(y.Labels) {
			return true
		}
	}
	return false
}

// gather puts what the near side allows with each workload of the namespace into sums, by place, and gives the places
// where something is allowed, each at least once. The sums have to be empty.
func (s *scope) gather(at *space, sums []Ports, places []int32) []int32 {
	add := func(i int32, ports Ports) {
		if !ports.Empty() {
			sums[i], places = sums[i].Union(ports), append(places, i)
		}
	}
	workloads := at.coverage.Workloads
	if s.uniform || s.v.shared.oneByOne {
		for i := range workloads {
			add(int32(i), s.allowsWorkload(&workloads[i]))
		}
		return places
	}
	for i := range s.rules {
		r := &s.rules[i]
		if r.everyone {
			for j := range workloads {
				add(int32(j), r.portsWith(&workloads[j]))
			}
			continue
		}
		for _, p := range r.pods {
			for _, j := range at.pick(p) {
				add(j, r.portsWith(&workloads[j]))
			}
		}
	}
	return places
}
