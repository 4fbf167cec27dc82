package netpol

import "net/netip"

// Selects reports whether e is among the pods that the policy applies to. It never is where NetworkPolicy has no say:
// outside the cluster, on the host's network.
func (p *Policy) Selects(e Endpoint) bool {
	return e.Namespace == p.Namespace && e.Governed() && p.Subject.Matches(e.Labels)
}

// Allows reports whether a rule of the policy admits the connection in direction d between the subject and the peer.
// It does not ask whether the policy selects the subject. In direction Egress the peer is the destination, in
// direction Ingress the subject is: named ports are resolved there.
func (p *Policy) Allows(d Direction, subject, peer Endpoint, port Port) bool {
	if !p.Isolates[d] {
		return false
	}
	for i := range p.Rules[d] {
		if p.Rules[d][i].allows(p.Namespace, d, subject, peer, port) {
			return true
		}
	}
	return false
}

func (r *Rule) allows(namespace string, d Direction, subject, peer Endpoint, port Port) bool {
	destination := peer
	if d == Ingress {
		destination = subject
	}
	return r.MatchesPort(destination, port) && r.MatchesPeer(namespace, peer)
}

// MatchesPeer reports whether the rule's from or to admits e; namespace is the policy's own.
func (r *Rule) MatchesPeer(namespace string, e Endpoint) bool {
	if len(r.Peers) == 0 {
		return true
	}
	for i := range r.Peers {
		if r.Peers[i].Matches(namespace, e) {
			return true
		}
	}
	return false
}

// MatchesPort reports whether the rule's ports admit port on the destination.
func (r *Rule) MatchesPort(destination Endpoint, port Port) bool {
	if len(r.Ports) == 0 {
		return true
	}
	for i := range r.Ports {
		if r.Ports[i].Matches(destination, port) {
			return true
		}
	}
	return false
}

// Matches reports whether e is one of the peers; namespace is the policy's own.
func (p *Peer) Matches(namespace string, e Endpoint) bool {
	if p.Block != nil {
		for _, a := range e.Addresses {
			if p.Block.Contains(a) {
				return true
			}
		}
		return false
	}
	if !e.selectable() {
		return false
	}
	return p.MatchesNamespace(namespace, e.Namespace, e) && (p.Pods == nil || p.Pods.Matches(e.Labels))
}

// MatchesNamespace reports whether the peer's pods are looked for in the namespace of that name, whose labels e
// carries; own is the policy's namespace.
func (p *Peer) MatchesNamespace(own, name string, e Endpoint) bool {
	if p.Namespaces == nil {
		return own == name
	}
	return p.Namespaces.Matches(e.NamespaceLabels)
}

// Contains reports whether a is in the CIDR and in none of the exceptions. An IPv4-mapped IPv6 address counts as IPv4.
func (b *IPBlock) Contains(a netip.Addr) bool {
	a = a.Unmap()
	if !b.CIDR.Contains(a) {
		return false
	}
	for _, x := range b.Except {
		if x.Contains(a) {
			return false
		}
	}
	return true
}

// Matches reports whether m admits port on the destination. A named port matches the number that a container port of
// that name and protocol has there; outside the cluster nothing has a name, so it never matches.
func (m *PortMatch) Matches(destination Endpoint, port Port) bool {
	if m.Protocol != port.Protocol {
		return false
	}
	if m.Name == "" {
		return m.Number == 0 || m.Number <= port.Number && port.Number <= m.End
	}
	for _, c := range destination.Ports {
		if c.Name == m.Name && c.Protocol == m.Protocol && c.Number == port.Number {
			return true
		}
	}
	return false
}

// Isolated reports whether any of the policies that select e isolates it in direction d: "a pod is isolated … if there
// is any NetworkPolicy that both selects the pod and has" the direction in its policyTypes.
func Isolated(d Direction, e Endpoint, policies []*Policy) bool {
	for _, p := range policies {
		if p.Isolates[d] && p.Selects(e) {
			return true
		}
	}
	return false
}

// Admitted reports whether the subject's own side lets the connection pass: it is not isolated in that direction, or
// at least one policy that selects it has a rule for the connection. "Network policies do not conflict; they are
// additive", so order never matters. The policies may be of any namespace; those of others do not select the subject.
func Admitted(d Direction, subject, peer Endpoint, port Port, policies []*Policy) bool {
	isolated := false
	for _, p := range policies {
		if !p.Isolates[d] || !p.Selects(subject) {
			continue
		}
		isolated = true
		if p.Allows(d, subject, peer, port) {
			return true
		}
	}
	return !isolated
}

// Connects reports whether from may open a connection to to: "both the egress policy on the source pod and the ingress
// policy on the destination pod need to allow" it. A pod always reaches itself, and a node the pods that run on it.
func Connects(from, to Endpoint, port Port, egress, ingress []*Policy) bool {
	if samePod(from, to) || residentNode(from, to) {
		return true
	}
	return Admitted(Egress, from, to, port, egress) && Admitted(Ingress, to, from, port, ingress)
}

// SelectsAny is Selects for a policy that may be absent.
func (p *Policy) SelectsAny(e Endpoint) bool { return p != nil && p.Selects(e) }

// Foreign reports whether the rule can match pods of other namespaces than its policy's.
func (r *Rule) Foreign() bool {
	if len(r.Peers) == 0 {
		return true
	}
	for i := range r.Peers {
		if r.Peers[i].Namespaces != nil {
			return true
		}
	}
	return false
}
