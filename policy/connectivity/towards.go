package connectivity

import (
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// peerRule is what is left of a rule towards the pods of one namespace.
type peerRule struct {
	policy   int32 // its policy's place in the coverage
	rule     *netpol.Rule
	everyone bool      // it has no peers, so it matches what selectors cannot, too
	pods     []*picker // combined by OR; nil is all pods
}

// foreignRule is a rule with its peers in other namespaces.
type foreignRule struct {
	policy   int32
	rule     *netpol.Rule
	everyone bool
	peers    []foreignPeer
}

// foreignPeer is one of them: pods of some namespaces, nil for all of either.
type foreignPeer struct {
	namespaces *selection
	pods       *picker
}

// towards gives the rules of a namespace that can match pods of the other one in direction d.
func (v *View) towards(at *space, d netpol.Direction, other string) []peerRule {
	if at.towardsTo[d] == other {
		return at.towards[d]
	}
	at.towardsTo[d], at.towards[d] = other, at.towards[d][:0]
	if other == at.n.Name {
		v.within(at, d)
		return at.towards[d]
	}
	for i := range v.foreign(at, d) {
		r := &at.foreign[d][i]
		p := peerRule{policy: r.policy, rule: r.rule, everyone: r.everyone}
		for _, peer := range r.peers {
			if peer.namespaces.has(other) {
				p.pods = append(p.pods, peer.pods)
			}
		}
		if p.everyone || len(p.pods) > 0 {
			at.towards[d] = append(at.towards[d], p)
		}
	}
	return at.towards[d]
}

// within is towards for the namespace's own pods.
func (v *View) within(at *space, d netpol.Direction) {
	e := netpol.Endpoint{NamespaceLabels: v.s.NamespaceLabels(at.n.Name)}
	for i, policy := range at.coverage.Policies {
		if !policy.Isolates[d] {
			continue
		}
		for j := range policy.Rules[d] {
			r := &policy.Rules[d][j]
			p := peerRule{policy: int32(i), rule: r, everyone: len(r.Peers) == 0}
			for k := range r.Peers {
				if peer := &r.Peers[k]; peer.Block == nil && peer.MatchesNamespace(at.n.Name, at.n.Name, e) {
					p.pods = append(p.pods, v.picker(peer.Pods))
				}
			}
			if p.everyone || len(p.pods) > 0 {
				at.towards[d] = append(at.towards[d], p)
			}
		}
	}
}

// foreign gives the rules of a namespace that can match pods of others.
func (v *View) foreign(at *space, d netpol.Direction) []foreignRule {
	if at.foreign[d] != nil || len(at.coverage.Foreign[d]) == 0 {
		return at.foreign[d]
	}
	for _, ref := range at.coverage.Foreign[d] {
		r := foreignRule{policy: ref.Policy, rule: ref.Rule, everyone: len(ref.Rule.Peers) == 0}
		for i := range ref.Rule.Peers {
			peer := &ref.Rule.Peers[i]
			switch {
			case peer.Namespaces == nil: // an ipBlock, or pods of its own namespace
			case peer.Namespaces.Everything():
				r.peers = append(r.peers, foreignPeer{nil, v.picker(peer.Pods)})
			default:
				r.peers = append(r.peers, foreignPeer{v.selection(peer.Namespaces), v.picker(peer.Pods)})
			}
		}
		at.foreign[d] = append(at.foreign[d], r)
	}
	return at.foreign[d]
}

// mayMatch reports whether some peer of the rule looks for pods in the namespace other.
func mayMatch(r *netpol.Rule, own, other string, e netpol.Endpoint) bool {
	if len(r.Peers) == 0 {
		return true
	}
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Block == nil && p.MatchesNamespace(own, other, e) {
			return true
		}
	}
	return false
}
