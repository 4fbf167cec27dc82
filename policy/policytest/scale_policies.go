package policytest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	ingressType = networkingv1.PolicyTypeIngress
	egressType  = networkingv1.PolicyTypeEgress
)

// policy makes the k-th policy of a tenant: the usual five, then one more for each further component.
func (s *Scaled) policy(namespace string, k int) *networkingv1.NetworkPolicy {
	switch k {
	case 0:
		return networkPolicy(namespace, "default-deny", nil, ingressType, egressType)
	case 1:
		np := networkPolicy(namespace, "allow-dns", nil, egressType)
		np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
			To:    []networkingv1.NetworkPolicyPeer{peer("kube-system", map[string]string{"k8s-app": "kube-dns"})},
			Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53)},
		}}
		return np
	case 2:
		np := networkPolicy(namespace, "allow-same-namespace", nil, ingressType, egressType)
		own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{own}}}
		np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{own}}}
		return np
	case 3:
		np := networkPolicy(namespace, "allow-ingress-and-scrape", nil, ingressType)
		np.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"web", "api", "auth"}}}
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{
			{From: []networkingv1.NetworkPolicyPeer{peer("ingress-nginx", nil)}, Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, 8080)}},
			{From: []networkingv1.NetworkPolicyPeer{peer("monitoring", nil)}, Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, 9090)}},
		}
		return np
	case 4:
		np := networkPolicy(namespace, "allow-internet", map[string]string{"tier": "api"}, egressType)
		np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
			To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{
				CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"},
			}}},
			Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, 443)},
		}}
		return np
	}
	np := networkPolicy(namespace, fmt.Sprintf("allow-api-%d", k), map[string]string{"tier": components[k%len(components)]}, ingressType)
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "api"}}}},
		Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, 8080)},
	}}
	return np
}

func networkPolicy(namespace, name string, subject map[string]string, types ...networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: subject}, PolicyTypes: types},
	}
}

func peer(namespace string, pods map[string]string) networkingv1.NetworkPolicyPeer {
	p := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}}
	if pods != nil {
		p.PodSelector = &metav1.LabelSelector{MatchLabels: pods}
	}
	return p
}

func port(protocol corev1.Protocol, number int32) networkingv1.NetworkPolicyPort {
	n := intstr.FromInt32(number)
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &n}
}
