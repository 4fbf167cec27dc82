package connectivity_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// seedVariable is the environment variable that repeats a run.
const seedVariable = "BULKHEAD_SEED"

// forAll runs property on count random worlds on all processors. A property returns what is wrong, or nothing.
func forAll(t *testing.T, count uint64, property func(d draw, w *world) string) {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v: set a number", seedVariable, err)
		}
	}
	if testing.Short() {
		count /= 10
	}
	var next atomic.Uint64
	var once sync.Once
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for number := next.Add(1); number <= count; number = next.Add(1) {
				d := draw{rand.New(rand.NewPCG(seed, number))}
				w := d.world()
				if problem := property(d, w); problem != "" {
					next.Store(count)
					once.Do(func() { t.Errorf("world %d: %s\n%s\nrepeat with %s=%d", number, problem, w, seedVariable, seed) })
				}
			}
		})
	}
	wg.Wait()
}

// draw makes random values. Equal seeds give equal worlds.
type draw struct{ *rand.Rand }

// oneIn is true once in n times.
func (d draw) oneIn(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d draw, from ...T) T { return from[d.IntN(len(from))] }

func several[T any](d draw, limit int, one func() T) []T {
	var out []T
	for range d.IntN(limit + 1) {
		out = append(out, one())
	}
	return out
}

func mix[T any](d draw, s []T) { d.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) }

// without gives the list without its i-th item.
func without[T any](s []T, i int) []T { return slices.Concat(s[:i], s[i+1:]) }

// world draws a cluster from small alphabets, so that selectors, blocks and ports match often.
func (d draw) world() *world {
	w := &world{namespaces: map[string]labels.Set{}, addresses: d.oneIn(4)}
	for i := range pick(d, 1, 2, 2, 3, 3) {
		w.names = append(w.names, fmt.Sprintf("n%d", i))
		if !d.oneIn(8) { // one whose Namespace object is not known yet
			w.namespaces[w.names[i]] = d.labels()
		}
	}
	for i := range 1 + d.IntN(8) {
		w.pods = append(w.pods, d.pod(w, i))
	}
	for i := range d.IntN(3) {
		w.templates = append(w.templates, &templateSpec{
			namespace: pick(d, w.names...), name: fmt.Sprintf("o%d", i), labels: d.labels(), ports: d.ports(), host: d.oneIn(8),
		})
	}
	for i := range d.IntN(6) {
		w.policies = append(w.policies, d.policy(pick(d, w.names...), fmt.Sprintf("policy%d", i)))
	}
	if d.oneIn(2) {
		for i := range d.IntN(4) {
			w.tiers = append(w.tiers, d.tierPolicy(fmt.Sprintf("tier%d", i)))
		}
	}
	return w
}

func (d draw) pod(w *world, i int) *podSpec {
	p := &podSpec{
		namespace: pick(d, w.names...), name: fmt.Sprintf("p%d", i), labels: d.labels(), ports: d.ports(),
		host: d.oneIn(8), finished: d.oneIn(12),
	}
	if d.oneIn(3) { // most pods that share an owner look alike
		p.labels, p.ports, p.host = labels.Set{"app": "a"}, nil, false
	}
	switch d.IntN(3) {
	case 0:
		p.kind, p.owner = "Deployment", pick(d, "o0", "o1")
		p.labels["pod-template-hash"] = pick(d, "h1", "h2")
	case 1:
		p.kind, p.owner = "StatefulSet", pick(d, "o0", "o1")
		p.labels[podNameKey] = p.name
	}
	return p
}

// podNameKey is a label whose value Kubernetes sets for each pod.
const podNameKey = "statefulset.kubernetes.io/pod-name"

func (d draw) key() string {
	return pick(d, "app", "app", "tier", "tier", podNameKey, "pod-template-hash")
}
func (d draw) value() string    { return pick(d, "a", "a", "b", "", "p1", "h1") }
func (d draw) portName() string { return pick(d, "dns", "http") }

func (d draw) protocol() corev1.Protocol {
	return pick(d, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

func (d draw) labels() labels.Set {
	out := labels.Set{}
	for range d.IntN(3) {
		out[pick(d, "app", "tier")] = pick(d, "a", "b", "")
	}
	return out
}

func (d draw) ports() []netpol.ContainerPort {
	return several(d, 3, func() netpol.ContainerPort {
		return netpol.ContainerPort{Name: d.portName(), Protocol: d.protocol(), Number: pick[uint16](d, 53, 80, 8080)}
	})
}

func (d draw) policy(ns, name string) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	np.Spec.PodSelector = d.selector()
	np.Spec.PolicyTypes = pick(d, nil, []networkingv1.PolicyType{"Ingress"}, []networkingv1.PolicyType{"Egress"},
		[]networkingv1.PolicyType{"Ingress", "Egress"})
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

// namespaceSelector sometimes selects by the name that every namespace has as a label.
func (d draw) namespaceSelector() metav1.LabelSelector {
	if d.oneIn(4) {
		return metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick(d, "n0", "n1")}}
	}
	return d.selector()
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
		s := d.namespaceSelector()
		p.NamespaceSelector = &s
	}
	return p
}

func (d draw) address() netip.Addr {
	return netip.MustParseAddr(pick(d, "0.0.0.0", "10.0.0.1", "10.0.0.2", "10.128.0.1", "255.255.255.255",
		"::", "fd00::1", "fd00::2", "2001:db8::7", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
}

func (d draw) prefix() netip.Prefix {
	a := d.address()
	bits := pick(d, 0, 1, 8, 9, 24, 31, 32)
	if a.Is6() {
		bits = pick(d, 0, 1, 8, 64, 81, 127, 128)
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// block draws a CIDR with exceptions inside it.
func (d draw) block() *networkingv1.IPBlock {
	cidr := d.prefix()
	b := &networkingv1.IPBlock{CIDR: cidr.String()}
	for range d.IntN(3) {
		if x := d.prefix(); cidr.Contains(x.Addr()) && x.Bits() > cidr.Bits() {
			b.Except = append(b.Except, x.String())
		}
	}
	return b
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
		end := pick(d, number.IntVal, number.IntVal+1, number.IntVal+27, 65535)
		p.Port, p.EndPort = &number, &end
	}
	return p
}
