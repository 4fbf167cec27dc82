package netpol

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// manyItems is how many rules, peers and ports a policy may have before what repeats is left out. Nobody writes so many by hand,
// and etcd stores some 700,000 of the shortest rules.
const manyItems = 1000

// Places say where in a policy the items are that Distinct has kept.
type Places struct{ rules [2][]rulePlaces }

// rulePlaces are the places of one rule, its peers and its ports.
type rulePlaces struct {
	rule         int32
	peers, ports []int32
}

// Rule gives the index of the rule that is now the i-th one of its direction.
func (p *Places) Rule(d Direction, i int) int {
	if p == nil || i >= len(p.rules[d]) {
		return i
	}
	return int(p.rules[d][i].rule)
}

// Peer gives the index of the peer that is now the j-th one of the i-th rule.
func (p *Places) Peer(d Direction, i, j int) int {
	if p == nil || i >= len(p.rules[d]) || j >= len(p.rules[d][i].peers) {
		return j
	}
	return int(p.rules[d][i].peers[j])
}

// Port gives the index of the port that is now the j-th one of the i-th rule.
func (p *Places) Port(d Direction, i, j int) int {
	if p == nil || i >= len(p.rules[d]) || j >= len(p.rules[d][i].ports) {
		return j
	}
	return int(p.rules[d][i].ports[j])
}

// Distinct gives a large policy without the rules, and the peers and ports within a rule, that repeat an earlier one word for word,
// which change nothing: all are combined by OR. It takes time in proportion to the policy's size. A policy that is not large, or in
// which nothing repeats, comes back as it is, with nil for the places.
func Distinct(np *networkingv1.NetworkPolicy) (*networkingv1.NetworkPolicy, *Places) {
	if np == nil || !large(&np.Spec) {
		return np, nil
	}
	out := *np // what is not replaced below is shared
	places := &Places{}
	d := distinct{}
	out.Spec.Ingress, out.Spec.Egress = nil, nil
	seen := map[string]bool{}
	ingress := new(networkingv1.NetworkPolicyIngressRule) // one for all, since it gets to the heap
	for i := range np.Spec.Ingress {
		r := ingress
		at := rulePlaces{rule: int32(i)}
		r.From, at.peers = distinctOf(&d, np.Spec.Ingress[i].From)
		r.Ports, at.ports = distinctOf(&d, np.Spec.Ingress[i].Ports)
		if d.first(seen, r) {
			out.Spec.Ingress, places.rules[Ingress] = append(out.Spec.Ingress, *r), append(places.rules[Ingress], at)
		}
	}
	clear(seen)
	egress := new(networkingv1.NetworkPolicyEgressRule) // one for all, since it gets to the heap
	for i := range np.Spec.Egress {
		r := egress
		at := rulePlaces{rule: int32(i)}
		r.To, at.peers = distinctOf(&d, np.Spec.Egress[i].To)
		r.Ports, at.ports = distinctOf(&d, np.Spec.Egress[i].Ports)
		if d.first(seen, r) {
			out.Spec.Egress, places.rules[Egress] = append(out.Spec.Egress, *r), append(places.rules[Egress], at)
		}
	}
	if !d.repeats {
		return np, nil
	}
	return &out, places
}

func large(s *networkingv1.NetworkPolicySpec) bool {
	n := len(s.Ingress) + len(s.Egress)
	for i := range s.Ingress {
		n += len(s.Ingress[i].From) + len(s.Ingress[i].Ports)
	}
	for i := range s.Egress {
		n += len(s.Egress[i].To) + len(s.Egress[i].Ports)
	}
	return n > manyItems
}

// item is a part of a policy, as protobuf writes it: the same for equal ones.
type item interface {
	Size() int
	MarshalToSizedBuffer(b []byte) (int, error)
}

// distinct finds what repeats.
type distinct struct {
	buffer  []byte
	repeats bool
}

// first reports whether no equal item was seen before, and notes the item.
func (d *distinct) first(seen map[string]bool, x item) bool {
	size := x.Size()
	if cap(d.buffer) < size {
		d.buffer = make([]byte, 2*size)
	}
	b := d.buffer[:size]
	if n, err := x.MarshalToSizedBuffer(b); err != nil || n != size {
		return true // cannot be told apart, so it is kept
	}
	if seen[string(b)] {
		d.repeats = true
		return false
	}
	seen[string(b)] = true
	return true
}

// distinctOf gives the items without those that repeat, and where they are in the list; nil where all are kept.
func distinctOf[T any, P interface {
	*T
	item
}](d *distinct, list []T) ([]T, []int32) {
	if len(list) < 2 {
		return list, nil
	}
	before := d.repeats
	d.repeats = false
	seen := map[string]bool{}
	var at []int32
	for i := range list {
		if d.first(seen, P(&list[i])) {
			at = append(at, int32(i))
		}
	}
	found := d.repeats
	d.repeats = d.repeats || before
	if !found {
		return list, nil
	}
	out := make([]T, 0, len(at))
	for _, i := range at {
		out = append(out, list[i])
	}
	return out, at
}
