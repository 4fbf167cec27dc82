package netpol_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// world is a random cluster, drawn from small alphabets so that selectors, blocks and ports match often.
type world struct {
	Namespaces map[string]labels.Set
	// Ends are all possible ends of a connection: pods, nodes and addresses outside the cluster.
	Ends     []netpol.Endpoint
	Policies []*networkingv1.NetworkPolicy
}

// draw makes random values. Equal seeds give equal worlds.
type draw struct{ *rand.Rand }

// newDraw gives the randomness of one numbered world, so that a failing one can be made again by itself.
func newDraw(seed, number uint64) draw { return draw{rand.New(rand.NewPCG(seed, number))} }

// oneIn is true once in n times.
func (d draw) oneIn(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d draw, from ...T) T { return from[d.IntN(len(from))] }

// several makes at most limit values. No values come both as nil and as an empty list, which have to mean the same.
func several[T any](d draw, limit int, one func() T) []T {
	var out []T
	if d.oneIn(2) {
		out = []T{}
	}
	for range d.IntN(limit + 1) {
		out = append(out, one())
	}
	return out
}

func (d draw) world() world {
	w := world{Namespaces: map[string]labels.Set{}}
	for i := range 1 + d.IntN(3) {
		name := fmt.Sprintf("n%d", i)
		w.Namespaces[name] = labels.Merge(d.labels(), labels.Set{nameLabel: name})
	}
	names := w.names()
	for _, ns := range names {
		for i := range 1 + d.IntN(3) {
			w.Ends = append(w.Ends, d.pod(ns, w.Namespaces[ns], fmt.Sprintf("p%d", i)))
		}
	}
	w.Ends = append(w.Ends,
		netpol.Endpoint{Addresses: []netip.Addr{d.address()}},
		netpol.Endpoint{IsNode: true, Node: pick(d, "node0", "node1"), Addresses: []netip.Addr{d.address()}})
	for i := range d.IntN(6) {
		w.Policies = append(w.Policies, d.policy(pick(d, names...), fmt.Sprintf("policy%d", i)))
	}
	return w
}

func (w world) names() []string {
	out := make([]string, 0, len(w.Namespaces))
	for i := range len(w.Namespaces) {
		out = append(out, fmt.Sprintf("n%d", i))
	}
	return out
}

func (d draw) pod(ns string, nsLabels labels.Set, name string) netpol.Endpoint {
	return netpol.Endpoint{
		Namespace: ns, Pod: name, NamespaceLabels: nsLabels, Labels: d.labels(),
		Ports: several(d, 3, func() netpol.ContainerPort {
			return netpol.ContainerPort{Name: d.portName(), Protocol: d.protocol(), Number: pick[uint16](d, 53, 80, 8080)}
		}),
		Addresses:   several(d, 2, d.address),
		HostNetwork: d.oneIn(8),
		Node:        pick(d, "", "node0", "node1"),
	}
}

func (d draw) key() string      { return pick(d, "app", "tier") }
func (d draw) value() string    { return pick(d, "a", "b", "") }
func (d draw) portName() string { return pick(d, "dns", "http") }

func (d draw) protocol() corev1.Protocol {
	return pick(d, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

func (d draw) labels() labels.Set {
	out := labels.Set{}
	for range d.IntN(3) {
		out[d.key()] = d.value()
	}
	return out
}

func (d draw) address() netip.Addr {
	return netip.MustParseAddr(pick(d, "10.0.0.1", "10.0.0.2", "10.0.1.1", "10.128.0.1", "203.0.113.7",
		"::ffff:10.0.0.2", "fd00::1", "fd00::2", "fd00:0:0:1::1", "2001:db8::7"))
}

func (d draw) probePort() netpol.Port {
	return netpol.Port{Protocol: d.protocol(), Number: pick[uint16](d, 1, 53, 79, 80, 81, 443, 8080, 65535)}
}

func (d draw) policy(ns, name string) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	np.Spec.PodSelector = d.selector()
	np.Spec.PolicyTypes = pick(d, nil, []networkingv1.PolicyType{"Ingress"}, []networkingv1.PolicyType{"Egress"},
		[]networkingv1.PolicyType{"Ingress", "Egress"}, []networkingv1.PolicyType{"Egress", "Ingress"})
	np.Spec.Ingress = several(d, 3, func() networkingv1.NetworkPolicyIngressRule {
		return networkingv1.NetworkPolicyIngressRule{From: several(d, 3, d.peer), Ports: several(d, 2, d.port)}
	})
	np.Spec.Egress = several(d, 3, func() networkingv1.NetworkPolicyEgressRule {
		return networkingv1.NetworkPolicyEgressRule{To: several(d, 3, d.peer), Ports: several(d, 2, d.port)}
	})
	return np
}

func (d draw) selector() metav1.LabelSelector {
	s := metav1.LabelSelector{}
	if d.oneIn(3) {
		return s
	}
	if d.oneIn(2) {
		s.MatchLabels = map[string]string{d.key(): d.value()}
	}
	s.MatchExpressions = several(d, 2, func() metav1.LabelSelectorRequirement {
		e := metav1.LabelSelectorRequirement{Key: d.key(), Operator: pick(d, metav1.LabelSelectorOpIn,
			metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = append(several(d, 1, d.value), d.value())
		}
		return e
	})
	return s
}

func (d draw) peer() networkingv1.NetworkPolicyPeer {
	p := networkingv1.NetworkPolicyPeer{}
	kind := d.IntN(4)
	if kind == 0 {
		p.IPBlock = d.block()
		return p
	}
	if kind != 1 {
		s := d.selector()
		p.PodSelector = &s
	}
	if kind != 2 {
		s := d.selector()
		p.NamespaceSelector = &s
	}
	return p
}

// block draws a CIDR around one of the addresses in use, with exceptions inside it, in all the spellings that the API
// server has accepted over time.
func (d draw) block() *networkingv1.IPBlock {
	base := d.address().Unmap()
	bits := pick(d, 0, 8, 9, 16, 24, 30, 31, 32)
	if base.Is6() {
		bits = pick(d, 0, 8, 48, 64, 120, 126, 127, 128)
	}
	b := &networkingv1.IPBlock{CIDR: d.spell(base, bits)}
	for range d.IntN(3) {
		inside := d.address().Unmap()
		if bits == base.BitLen() || !netip.PrefixFrom(base, bits).Contains(inside) {
			continue
		}
		b.Except = append(b.Except, d.spell(inside, bits+1+d.IntN(base.BitLen()-bits)))
	}
	return b
}

func (d draw) spell(a netip.Addr, bits int) string {
	plain := netip.PrefixFrom(a, bits)
	switch {
	case d.oneIn(2):
		return plain.Masked().String()
	case a.Is4() && d.oneIn(8):
		return fmt.Sprintf("::ffff:%s/%d", a, bits+96)
	case a.Is4() && d.oneIn(8):
		o := a.As4()
		return fmt.Sprintf("%03d.%d.%02d.%d/%d", o[0], o[1], o[2], o[3], bits)
	}
	return plain.String()
}

func (d draw) port() networkingv1.NetworkPolicyPort {
	p := networkingv1.NetworkPolicyPort{}
	if !d.oneIn(3) {
		protocol := d.protocol()
		p.Protocol = &protocol
	}
	switch d.IntN(5) {
	case 0:
	case 1, 2:
		name := intstr.FromString(d.portName())
		p.Port = &name
	case 3:
		number := intstr.FromInt32(pick[int32](d, 53, 80, 8080))
		p.Port = &number
	case 4:
		number := intstr.FromInt32(pick[int32](d, 1, 53, 80))
		end := number.IntVal + pick[int32](d, 0, 1, 27)
		if d.oneIn(4) {
			end = 65535
		}
		p.Port, p.EndPort = &number, &end
	}
	return p
}

// shuffled gives deep copies of the policies with everything that is a set in another order.
func (d draw) shuffled(nps []*networkingv1.NetworkPolicy) []*networkingv1.NetworkPolicy {
	out := make([]*networkingv1.NetworkPolicy, 0, len(nps))
	for _, np := range nps {
		c := np.DeepCopy()
		mix(d, c.Spec.PolicyTypes)
		mix(d, c.Spec.Ingress)
		mix(d, c.Spec.Egress)
		mix(d, c.Spec.PodSelector.MatchExpressions)
		for _, r := range c.Spec.Ingress {
			mix(d, r.From)
			mix(d, r.Ports)
		}
		for _, r := range c.Spec.Egress {
			mix(d, r.To)
			mix(d, r.Ports)
		}
		out = append(out, c)
	}
	mix(d, out)
	return out
}

func mix[T any](d draw, s []T) { d.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) }

// without gives the list without its i-th item.
func without[T any](s []T, i int) []T { return slices.Concat(s[:i], s[i+1:]) }
