package netpol_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestPolicyEqual changes each part of a policy, which has to be noticed.
func TestPolicyEqual(t *testing.T) {
	labelled := func(value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{
			MatchLabels:      map[string]string{"app": value},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b"}}},
		}
	}
	udp, port, end := corev1.ProtocolUDP, intstr.FromInt32(53), int32(60)
	whole := func() *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: *labelled("api"), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
					{PodSelector: labelled("web")}, {NamespaceSelector: labelled("ns")},
				}}},
				Egress: []networkingv1.NetworkPolicyEgressRule{{
					To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16"}}}},
					Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &port, EndPort: &end}},
				}},
			},
		}
	}
	compile := func(np *networkingv1.NetworkPolicy) *netpol.Policy {
		t.Helper()
		p, err := netpol.Compile(np)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	original := compile(whole())
	if !original.Equal(compile(whole())) {
		t.Error("a policy equals one that is written alike")
	}
	tcp, other := corev1.ProtocolTCP, intstr.FromInt32(54)
	for name, change := range map[string]func(*networkingv1.NetworkPolicy){
		"namespace":       func(np *networkingv1.NetworkPolicy) { np.Namespace = "data" },
		"name":            func(np *networkingv1.NetworkPolicy) { np.Name = "q" },
		"policyTypes":     func(np *networkingv1.NetworkPolicy) { np.Spec.PolicyTypes = np.Spec.PolicyTypes[:1] },
		"subject's label": func(np *networkingv1.NetworkPolicy) { np.Spec.PodSelector.MatchLabels["app"] = "db" },
		"subject's operator": func(np *networkingv1.NetworkPolicy) {
			np.Spec.PodSelector.MatchExpressions[0].Operator = metav1.LabelSelectorOpNotIn
		},
		"subject's values":    func(np *networkingv1.NetworkPolicy) { np.Spec.PodSelector.MatchExpressions[0].Values[1] = "c" },
		"subject's key":       func(np *networkingv1.NetworkPolicy) { np.Spec.PodSelector.MatchExpressions[0].Key = "rank" },
		"no rules":            func(np *networkingv1.NetworkPolicy) { np.Spec.Ingress = nil },
		"no ports":            func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].Ports = nil },
		"protocol":            func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].Ports[0].Protocol = &tcp },
		"port":                func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].Ports[0].Port = &other },
		"endPort":             func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].Ports[0].EndPort = nil },
		"cidr":                func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].To[0].IPBlock.CIDR = "10.0.0.0/9" },
		"except":              func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].To[0].IPBlock.Except[0] = "10.2.0.0/16" },
		"selectors for block": func(np *networkingv1.NetworkPolicy) { np.Spec.Egress[0].To[0] = np.Spec.Ingress[0].From[0] },
		"pods":                func(np *networkingv1.NetworkPolicy) { np.Spec.Ingress[0].From[0].PodSelector = labelled("x") },
		"pods of namespaces":  func(np *networkingv1.NetworkPolicy) { np.Spec.Ingress[0].From[0].NamespaceSelector = labelled("ns") },
		"namespaces":          func(np *networkingv1.NetworkPolicy) { np.Spec.Ingress[0].From[1].NamespaceSelector = labelled("x") },
		"order of peers":      func(np *networkingv1.NetworkPolicy) { f := np.Spec.Ingress[0].From; f[0], f[1] = f[1], f[0] },
		"one peer less":       func(np *networkingv1.NetworkPolicy) { np.Spec.Ingress[0].From = np.Spec.Ingress[0].From[:1] },
	} {
		changed := whole()
		change(changed)
		if p := compile(changed); original.Equal(p) || p.Equal(original) {
			t.Errorf("%s: changed, and still equal", name)
		}
	}
}
