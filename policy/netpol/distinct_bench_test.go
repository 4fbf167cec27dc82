package netpol_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// repetitive are policies about as large as the API server stores, by what they are made of.
func repetitive() map[string]*networkingv1.NetworkPolicy {
	of := func(spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "big"}, Spec: spec}
	}
	rule := networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{}}}
	ported := make([]networkingv1.NetworkPolicyIngressRule, 150_000)
	for i := range ported {
		ported[i] = *rule.DeepCopy()
	}
	one := networkingv1.NetworkPolicyIngressRule{From: make([]networkingv1.NetworkPolicyPeer, 300_000)}
	for i := range one.From {
		one.From[i].PodSelector = &metav1.LabelSelector{}
	}
	return map[string]*networkingv1.NetworkPolicy{
		"700000 empty rules":         of(networkingv1.NetworkPolicySpec{Ingress: make([]networkingv1.NetworkPolicyIngressRule, 700_000)}),
		"150000 rules of one port":   of(networkingv1.NetworkPolicySpec{Ingress: ported}),
		"300000 peers of one rule":   of(networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{one}}),
		"9000 rules that all differ": bigPolicy(9000),
	}
}

// BenchmarkCompileRepetitive measures, beside the time, the memory that a compiled policy keeps.
func BenchmarkCompileRepetitive(b *testing.B) {
	for name, np := range repetitive() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var p *netpol.Policy
			for b.Loop() {
				var err error
				if p, err = netpol.Compile(np); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(heldBy(b, np), "bytes-held")
			b.ReportMetric(float64(len(p.Rules[netpol.Ingress])), "rules")
		})
	}
}

// heldBy gives the bytes that are in use as long as the compiled policy is.
func heldBy(b *testing.B, np *networkingv1.NetworkPolicy) float64 {
	b.Helper()
	inUse := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := inUse()
	p, err := netpol.Compile(np)
	if err != nil {
		b.Fatal(err)
	}
	held := inUse() - before
	runtime.KeepAlive(p)
	return max(held, 0)
}

func TestDistinctKeepsTheFirst(t *testing.T) {
	np := &networkingv1.NetworkPolicy{}
	peer := func(app int) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("a", app)}}}
	}
	for i := range 400 {
		np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{peer(i % 3), peer(i % 3), peer(9)}})
	}
	short, places := netpol.Distinct(np)
	if len(short.Spec.Egress) != 3 || len(short.Spec.Egress[2].To) != 2 || len(np.Spec.Egress) != 400 {
		t.Fatalf("%d rules are left", len(short.Spec.Egress))
	}
	if places.Rule(netpol.Egress, 2) != 2 || places.Peer(netpol.Egress, 2, 1) != 2 || places.Port(netpol.Egress, 2, 0) != 0 || places.Rule(netpol.Ingress, 5) != 5 {
		t.Error("places are wrong")
	}
	np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{peer(7)}})
	compiled, err := netpol.Compile(np)
	if err != nil || len(compiled.Rules[netpol.Egress]) != 4 || compiled.Place(netpol.Egress, 3) != 400 || compiled.Place(netpol.Egress, 1) != 1 {
		t.Errorf("compiled to %d rules, the last from %d, %v", len(compiled.Rules[netpol.Egress]), compiled.Place(netpol.Egress, 3), err)
	}
	np.Spec.Egress[400].To[0].PodSelector.MatchLabels["app"] = "not a label"
	if _, err := netpol.Compile(np); err == nil || !strings.Contains(err.Error(), "spec.egress[400].to[0].podSelector") {
		t.Errorf("the error names another place: %v", err)
	}
	np.Spec.Egress = np.Spec.Egress[:200]
	if short, places := netpol.Distinct(np); short != np || places != nil {
		t.Error("a policy that is not large was changed")
	}
}
