package netpol_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// bigPolicy has n ingress rules of every kind of peer and port.
func bigPolicy(n int) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "big"}}
	for i := range n {
		port, end := intstr.FromInt32(int32(1+i%60_000)), int32(1+i%60_000+i%7)
		r := networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &port, EndPort: &end}}}
		switch i % 3 {
		case 0:
			r.From = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{
				CIDR: fmt.Sprintf("10.%d.%d.0/24", i/256%256, i%256), Except: []string{fmt.Sprintf("10.%d.%d.8/32", i/256%256, i%256)}}}}
		case 1:
			r.From = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("app", i)}}}}
		case 2:
			r.From = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: nameLabel, Operator: metav1.LabelSelectorOpIn, Values: []string{fmt.Sprint("ns", i)}}}}}}
		}
		np.Spec.Ingress = append(np.Spec.Ingress, r)
	}
	return np
}

// typicalUnion is what a pod of a careful team has: default-deny, DNS, its callers, its database, its scraper.
const typicalUnion = `
metadata: {namespace: shop, name: default-deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
metadata: {namespace: shop, name: allow-dns}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}
---
metadata: {namespace: shop, name: scrape}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: platform}}}], ports: [{port: metrics}]}]}
---
metadata: {namespace: shop, name: web-out}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.169.254/32]}}]}, {to: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [api, cache]}]}}], ports: [{port: http}]}]}
---
metadata: {namespace: shop, name: api-in}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}]}`

func BenchmarkCompile9000Rules(b *testing.B) {
	np := bigPolicy(9000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := netpol.Compile(np); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConnects(b *testing.B) {
	policies := compileAll(b, parsePolicies(b, typicalUnion))
	web, api, db := cast()["shop/web"], cast()["shop/api"], cast()["shop/db"]
	for _, c := range []struct {
		name string
		to   netpol.Endpoint
		port uint16
		want bool
	}{{"allowed", api, 8080, true}, {"refused", db, 5432, false}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: c.port}
			for b.Loop() {
				if netpol.Connects(web, c.to, port, policies, policies) != c.want {
					b.Fatalf("got %v, want %v", !c.want, c.want)
				}
			}
		})
	}
}

func BenchmarkConnects9000Rules(b *testing.B) {
	policies := compileAll(b, []*networkingv1.NetworkPolicy{bigPolicy(9000)})
	web, db := cast()["shop/web"], cast()["shop/db"]
	b.ReportAllocs()
	for b.Loop() {
		if netpol.Connects(web, db, netpol.Port{Protocol: corev1.ProtocolTCP, Number: 65535}, nil, policies) {
			b.Fatal("got true, want false")
		}
	}
}

// TestConnectsDoesNotAllocate: questions are asked by the million, garbage would be felt.
func TestConnectsDoesNotAllocate(t *testing.T) {
	policies := compileAll(t, parsePolicies(t, typicalUnion))
	ends := cast()
	ends["outside"] = member(t, "::ffff:203.0.113.7")
	allocs := testing.AllocsPerRun(100, func() {
		for _, from := range ends {
			for _, to := range ends {
				netpol.Connects(from, to, netpol.Port{Protocol: corev1.ProtocolUDP, Number: 53}, policies, policies)
				netpol.Connects(from, to, netpol.Port{Protocol: corev1.ProtocolTCP, Number: 8080}, policies, policies)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("Connects allocates %v times in a round", allocs)
	}
}
