package policy_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// largePolicies are about as large as the API server stores, each of another kind of item.
func largePolicies() map[string]*networkingv1.NetworkPolicy {
	ingressOf := func(rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: "many"},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{ingress}, Ingress: rules},
		}
	}
	var ported []networkingv1.NetworkPolicyIngressRule
	var selected, ranges []networkingv1.NetworkPolicyPeer
	var spaces []networkingv1.NetworkPolicyIngressRule
	var ports, spans, names []networkingv1.NetworkPolicyPort
	var excepting []networkingv1.NetworkPolicyPeer
	var egress []networkingv1.NetworkPolicyEgressRule
	https := intstr.FromInt32(443)
	for i := range 30_000 {
		number := intstr.FromInt32(int32(1 + i))
		port := networkingv1.NetworkPolicyPort{Port: &number}
		ports = append(ports, port)
		end, name := int32(30_001+i), intstr.FromString(fmt.Sprintf("port-%d", i))
		spans = append(spans, networkingv1.NetworkPolicyPort{Port: &number, EndPort: &end})
		names = append(names, networkingv1.NetworkPolicyPort{Port: &name})
		ported = append(ported, networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{port}})
		label := &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(i)}}
		selected = append(selected, networkingv1.NetworkPolicyPeer{PodSelector: label})
		if i < 20_000 {
			block := fmt.Sprintf("10.%d.%d", i/256, i%256)
			excepting = append(excepting, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block + ".0/24", Except: []string{block + ".8/32"}}})
			egress = append(egress, networkingv1.NetworkPolicyEgressRule{
				To: []networkingv1.NetworkPolicyPeer{{PodSelector: label}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &https}},
			})
		}
		spaces = append(spaces, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: label}}})
		ranges = append(ranges, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.%d.%d.0/32", i/256, i%256)}})
	}
	return map[string]*networkingv1.NetworkPolicy{
		"700000 empty rules":         ingressOf(make([]networkingv1.NetworkPolicyIngressRule, 700_000)...),
		"30000 rules of one port":    ingressOf(ported...),
		"30000 rules of a namespace": ingressOf(spaces...),
		"a rule of 30000 selectors":  ingressOf(networkingv1.NetworkPolicyIngressRule{From: selected}),
		"a rule of 30000 ranges":     ingressOf(networkingv1.NetworkPolicyIngressRule{From: ranges}),
		"a rule of 30000 ports":      ingressOf(networkingv1.NetworkPolicyIngressRule{Ports: ports}),
		"a rule of 30000 spans":      ingressOf(networkingv1.NetworkPolicyIngressRule{Ports: spans}),
		"a rule of 30000 names":      ingressOf(networkingv1.NetworkPolicyIngressRule{Ports: names}),
		"a rule of 20000 exceptions": ingressOf(networkingv1.NetworkPolicyIngressRule{From: excepting}),
		"20000 rules to pods": {
			ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: "many"},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: egress},
		},
		"9000 rules of a range": manyRules(9000),
	}
}

// BenchmarkLargePolicies names, for each policy, the guardrail that takes longest over it: beyond 500 ms admission gives it up.
func BenchmarkLargePolicies(b *testing.B) {
	bench := newBenchOf(b, smallCluster())
	contents := cluster.NamespaceContents{}
	for _, p := range policytest.ManyWorkloads("large", 10) {
		contents.Pods = append(contents.Pods, cluster.PodOf(p))
	}
	s := bench.snapshot.WithContents("large", contents)
	for name, np := range largePolicies() {
		shorter := np.DeepCopy()
		if n := len(shorter.Spec.Ingress); n > 0 {
			shorter.Spec.Ingress = shorter.Spec.Ingress[:n-1]
		} else {
			shorter.Spec.Egress = shorter.Spec.Egress[:len(shorter.Spec.Egress)-1]
		}
		for what, x := range map[string]struct{ old, new *networkingv1.NetworkPolicy }{
			name: {nil, np}, name + ", one less before": {shorter, np}, name + " goes": {np, nil},
		} {
			old, new := x.old, x.new
			b.Run(what, func(b *testing.B) {
				for b.Loop() {
					start := time.Now()
					c, err := policy.PolicyChange(s, old, new)
					if err != nil {
						b.Fatal(err)
					}
					made := time.Since(start)
					type cost struct {
						slug string
						took time.Duration
					}
					var costs []cost
					for _, g := range policy.Applicable(bench.cfg, bench.guardrails, c) {
						start := time.Now()
						policy.Check(bench.cfg, g, c)
						costs = append(costs, cost{g.Slug, time.Since(start)})
					}
					slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(b.took, a.took) })
					b.Logf("change %v, then %v", made.Round(time.Millisecond), costs[:4])
					b.ReportMetric(float64(costs[0].took.Milliseconds()), "worst-ms")
				}
			})
		}
	}
}
