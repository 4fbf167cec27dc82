package guardrails

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// serverPorts are declared by the pod of the random worlds.
var serverPorts = []netpol.ContainerPort{
	{Name: "http", Protocol: corev1.ProtocolTCP, Number: 2}, {Name: "http", Protocol: corev1.ProtocolUDP, Number: 3},
}

// probePorts stand for all ports: those that the random rules name, one that none does, and one of another protocol.
var probePorts = []netpol.Port{
	{Protocol: corev1.ProtocolTCP, Number: 1}, {Protocol: corev1.ProtocolTCP, Number: 2}, {Protocol: corev1.ProtocolTCP, Number: 3},
	{Protocol: corev1.ProtocolTCP, Number: 4}, {Protocol: corev1.ProtocolUDP, Number: 1}, {Protocol: corev1.ProtocolUDP, Number: 2},
	{Protocol: corev1.ProtocolUDP, Number: 3}, {Protocol: corev1.ProtocolUDP, Number: 4}, {Protocol: corev1.ProtocolSCTP, Number: 1},
}

func randomPort(r *rand.Rand) netpol.PortMatch {
	m := netpol.PortMatch{Protocol: [...]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}[r.IntN(2)]}
	switch r.IntN(4) {
	case 0:
	case 1:
		m.Name = "http"
	default:
		m.Number = uint16(1 + r.IntN(3))
		m.End = m.Number + uint16(r.IntN(4-int(m.Number)))
	}
	return m
}

func randomRule(r *rand.Rand) netpol.Rule {
	rule := netpol.Rule{}
	for range r.IntN(3) {
		rule.Ports = append(rule.Ports, randomPort(r))
	}
	for range 1 + r.IntN(2) {
		rule.Peers = append(rule.Peers, netpol.Peer{Block: randomBlock(r)})
	}
	switch r.IntN(8) {
	case 0:
		rule.Peers = nil
	case 1:
		rule.Peers[0] = netpol.Peer{Pods: &netpol.Selector{}}
	}
	return rule
}

func randomPolicy(r *rand.Rand, name string) *netpol.Policy {
	p := &netpol.Policy{Name: name, Isolates: [2]bool{r.IntN(8) > 0, r.IntN(8) > 0}}
	for _, d := range netpol.Directions {
		for range r.IntN(4) {
			p.Rules[d] = append(p.Rules[d], randomRule(r))
		}
	}
	return p
}

// admits reports whether one spot of a rule allows one address on one port, by netpol's own matching.
func admits(s *spot, a netip.Addr, port netpol.Port) bool {
	pod, peer := netpol.Endpoint{Namespace: "shop", Ports: serverPorts}, address(a)
	destination := peer
	if s.direction == netpol.Ingress {
		destination = pod
	}
	return (s.item < 0 || s.at().Peers[s.item].Matches("shop", peer)) && s.at().MatchesPort(destination, port)
}

// defeatedOracle gives by field the addresses that exceptions lose, looking at each address and port by itself.
func defeatedOracle(d netpol.Direction, old, new *netpol.Policy, before, after []*netpol.Policy) map[string]map[netip.Addr]bool {
	out := map[string]map[netip.Addr]bool{}
	wasAllowed := func(a netip.Addr, port netpol.Port) bool {
		for _, p := range before {
			for _, s := range ranges(p, d) {
				if admits(&s, a, port) {
					return true
				}
			}
		}
		return false
	}
	for _, p := range after {
		for _, at := range ranges(p, d) {
			if at.block() == nil {
				continue
			}
			for _, excepted := range at.block().Except {
				if slices.ContainsFunc(at.block().Except, func(e netip.Prefix) bool { return e != excepted && holdsPrefix(e, excepted) }) {
					continue
				}
				e := exception{at, excepted, addedOracle(&at, excepted, old, new)}
				for _, q := range after {
					for _, by := range ranges(q, d) {
						if by == at || q != new && !e.added {
							continue
						}
						field := by.field()
						if q != new {
							field = e.field() + ".except"
						}
						for a := range lost(&e, &by, wasAllowed) {
							if out[field] == nil {
								out[field] = map[netip.Addr]bool{}
							}
							out[field][a] = true
						}
					}
				}
			}
		}
	}
	return out
}

// lost gives the addresses of an exception that one spot allows.
func lost(e *exception, by *spot, wasAllowed func(netip.Addr, netpol.Port) bool) map[netip.Addr]bool {
	ports, all := []netpol.Port{}, true
	inside := address(e.block().CIDR.Addr())
	for _, port := range probePorts {
		whole := spot{e.policy, e.direction, e.rule, -1}
		if !admits(&whole, inside.Addresses[0], port) {
			continue
		}
		if whole.policy, whole.rule = by.policy, by.rule; admits(&whole, inside.Addresses[0], port) {
			ports = append(ports, port)
		} else {
			all = false
		}
	}
	out := map[netip.Addr]bool{}
	if b := by.block(); b != nil && b.CIDR.Bits() > e.excepted.Bits() && !all {
		return out
	}
	for _, a := range addresses() {
		for _, port := range ports {
			if e.excepted.Contains(a) && admits(by, a, port) && (e.added || !wasAllowed(a, port)) {
				out[a] = true
			}
		}
	}
	return out
}

func addedOracle(at *spot, excepted netip.Prefix, old, new *netpol.Policy) bool {
	if at.policy != new || old == nil {
		return false
	}
	same, excepts := 0, 0
	for _, s := range ranges(old, at.direction) {
		if b := s.block(); b != nil && b.CIDR == at.block().CIDR {
			same++
			for _, e := range b.Except {
				if holdsPrefix(e, excepted) {
					excepts++
				}
			}
		}
	}
	return same > 0 && excepts == 0
}

// TestDefeatedExceptions compares what is found in random policies, and what of the ranges is said to be allowed, with a
// look at each single address and port.
func TestDefeatedExceptions(t *testing.T) {
	r := seeded(t)
	found := 0
	for range 4_000 {
		new, others := randomPolicy(r, "new"), []*netpol.Policy{randomPolicy(r, "other")}
		var old *netpol.Policy
		before := others
		if r.IntN(2) == 0 {
			if old = randomPolicy(r, "new"); r.IntN(2) == 0 {
				old.Rules = new.Rules
				new.Rules[netpol.Egress] = append(slices.Clone(new.Rules[netpol.Egress]), randomRule(r))
			}
			before = append(slices.Clone(others), old)
		}
		after := append([]*netpol.Policy{new}, others...)
		e := netpol.Endpoint{Namespace: "shop", Ports: serverPorts}
		for _, d := range netpol.Directions {
			x := newExceptChecker(&policy.Change{NewPolicy: new, OldPolicy: old}, &cluster.Resolver{})
			x.judge(d, []*policy.Subject{{
				Before: policy.Coverage{Endpoint: e, Policies: before}, After: policy.Coverage{Endpoint: e, Policies: after},
			}})
			got := map[string]string{}
			for _, f := range x.found {
				var in []string
				for _, a := range addresses() {
					if contains(shortest(f.parts...), a) {
						in = append(in, a.String())
					}
				}
				got[f.field] = strings.Join(in, " ")
			}
			want := map[string]string{}
			for field, lost := range defeatedOracle(d, old, new, before, after) {
				want[field] = strings.Join(strings.Fields(strings.Trim(fmt.Sprint(slices.SortedFunc(maps.Keys(lost), netip.Addr.Compare)), "[]")), " ")
			}
			found += len(want)
			if !maps.Equal(got, want) {
				t.Fatalf("%s\n got %v\nwant %v\nold %+v\nnew %+v\nother %+v", d, got, want, old, new, others[0])
			}
		}
	}
	if found < 1_000 {
		t.Errorf("only %d exceptions were defeated: the policies are too random to tell anything", found)
	}
}
