package connectivity

import (
	"fmt"
	"net/netip"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Explanation tells whether one endpoint may connect to another, and everything that decides it.
type Explanation struct {
	From, To Endpoint
	// Port is the one asked about; nil asks about all.
	Port *netpol.Port
	// Allowed are the ports that pass on both sides, of those asked about.
	Allowed Ports
	// Sides are by netpol.Direction: Egress is the source's, Ingress the destination's. Both have to allow a connection.
	Sides [2]Side
}

// Side is what one end of a connection says about it.
type Side struct {
	// Governed says that policies can apply at all: not outside the cluster, and not on the host's network.
	Governed bool
	// Isolated says that some NetworkPolicy that selects the pods restricts the direction.
	Isolated bool
	// Allowed are the ports that this side allows, of those asked about.
	Allowed Ports
	// Policies are those that select the pods in this direction, in the order in which they are asked.
	Policies []PolicyVerdict
}

// PolicyVerdict is what one policy says about a connection.
type PolicyVerdict struct {
	// Tier is Admin, NetworkPolicy or Baseline.
	Tier string
	// Kind, Namespace and Name of the policy; the namespace is empty for kinds of the whole cluster.
	Kind, Namespace, Name string
	// Rules are those of the direction, as they are listed. None means that the policy allows nothing.
	Rules []RuleVerdict
}

// RuleVerdict is what one rule says about a connection.
type RuleVerdict struct {
	// Field is the rule's place in its policy, such as "spec.egress[0]"; Name its name where it has one.
	Field, Name string
	// Action is Allow for a NetworkPolicy; Accept, Deny or Pass in the tiers.
	Action string
	// Matched are the ports on which the rule matches and no rule asked before it has decided.
	Matched Ports
	// Why says in a few words why the rule matches, or what does not: the peer or the port.
	Why string
}

// Explain tells whether from may connect to to in the cluster that s shows, on port or, where that is nil, on which
// ports. Of a node with several kinds of pods the first is explained; Split tells them apart. A range has to be one that
// no policy splits: one address stands for all of it.
func Explain(s *cluster.Snapshot, from, to Endpoint, port *netpol.Port) *Explanation {
	v := NewView(s)
	asked := allPorts
	if port != nil {
		asked = PortsOf(PortRange{port.Protocol, port.Number, port.Number})
	}
	out := &Explanation{From: from, To: to, Port: port, Allowed: asked}
	ends := [2]Endpoint{netpol.Ingress: to, netpol.Egress: from}
	for _, d := range netpol.Directions {
		out.Sides[d] = v.explain(ends[d], v.peer(ends[opposite(d)]), d, asked)
		out.Allowed = out.Allowed.Intersect(out.Sides[d].Allowed)
	}
	return out
}

// Split gives a node for each kind of pods that n has.
func (n *Node) Split() []*Node {
	out := make([]*Node, 0, len(n.Workloads))
	for _, w := range n.Workloads {
		part := *n
		part.Workloads, part.HostNetwork, part.Pods = []*cluster.Workload{w}, w.HostNetwork, w.Pods
		out = append(out, &part)
	}
	return out
}

// peer gives an endpoint as policies see it.
func (v *View) peer(e Endpoint) netpol.Endpoint {
	if e.Node == nil {
		return netpol.Endpoint{Addresses: []netip.Addr{e.Range.sample()}}
	}
	return v.endpoint(e.Node.Workloads[0])
}

// explain gives one side of a connection.
func (v *View) explain(e Endpoint, peer netpol.Endpoint, d netpol.Direction, asked Ports) Side {
	if e.Node == nil {
		return Side{Allowed: asked}
	}
	n := v.nearOf(e.Node.Workloads[0], d)
	out := Side{Governed: n.governed, Isolated: n.governed && n.isolated, Allowed: n.allows(peer).Intersect(asked)}
	if !n.governed {
		return out
	}
	left := asked
	passed := out.tier(n, netpol.AdminTier, peer, &left)
	left = left.Union(passed)
	out.policies(n, peer, left)
	if !n.isolated {
		out.tier(n, netpol.BaselineTier, peer, &left)
	}
	return out
}

// tier adds the verdicts of a tier on what is left to decide. It takes from left what the tier decides and gives what it
// passes on to the next.
func (s *Side) tier(n *near, tier netpol.Tier, peer netpol.Endpoint, left *Ports) (passed Ports) {
	for _, p := range n.tiers[tier] {
		verdict := PolicyVerdict{Tier: tier.String(), Kind: p.Kind, Name: p.Name}
		for i := range p.Rules[n.d] {
			r := &p.Rules[n.d][i]
			rule := RuleVerdict{Field: fmt.Sprintf("spec.%s[%d]", n.d.Field(), i), Name: r.Name, Action: string(r.Action)}
			rule.judge(*left, peer, r.MatchesPeer(peer), r.Peers, resolve(r.Ports, n.declared(peer)))
			*left = left.Minus(rule.Matched)
			if r.Action == netpol.Pass {
				passed = passed.Union(rule.Matched)
			}
			verdict.Rules = append(verdict.Rules, rule)
		}
		if len(verdict.Rules) > 0 {
			s.Policies = append(s.Policies, verdict)
		}
	}
	return passed
}

// policies adds the verdicts of the NetworkPolicies that isolate the pods.
func (s *Side) policies(n *near, peer netpol.Endpoint, left Ports) {
	for _, p := range n.v.s.Policies(n.e.Namespace) {
		if !p.Isolates[n.d] || !p.Selects(n.e) {
			continue
		}
		verdict := PolicyVerdict{Tier: "NetworkPolicy", Kind: "NetworkPolicy", Namespace: p.Namespace, Name: p.Name}
		for i := range p.Rules[n.d] {
			r := &p.Rules[n.d][i]
			rule := RuleVerdict{Field: fmt.Sprintf("spec.%s[%d]", n.d.Field(), p.Place(n.d, i)), Action: "Allow"}
			rule.judge(left, peer, r.MatchesPeer(n.e.Namespace, peer), r.Peers, resolve(r.Ports, n.declared(peer)))
			verdict.Rules = append(verdict.Rules, rule)
		}
		s.Policies = append(s.Policies, verdict)
	}
}

// judge fills in whether the rule matches and why.
func (r *RuleVerdict) judge(left Ports, peer netpol.Endpoint, matches bool, peers []netpol.Peer, ports Ports) {
	if matches {
		r.Matched = left.Intersect(ports)
	}
	switch {
	case !matches && len(peers) == 0:
		r.Why = "no peer of the rule is of a kind that is compared here: nodes and domain names are not"
	case !matches && peer.HostNetwork:
		r.Why = "is for " + describe(peers) + ", and no selector matches a pod on its node's network"
	case !matches:
		r.Why = "is for " + describe(peers)
	case left.Empty():
		r.Why = "earlier rules have decided"
	case ports.Empty():
		r.Why = "the peer matches, but the pods name no such port"
	case r.Matched.Empty():
		r.Why = "the peer matches, the port does not: the rule is for " + ports.String()
	default:
		r.Why = "matches " + r.Matched.String()
	}
}
