package guardrails

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// reachesResolver reports whether the subject's egress lets DNS queries over protocol reach any place where the
// resolver answers. What cannot be known counts as reached: whether a plugin compares an ipBlock with the Service's
// address or with a pod's, before or after translation, differs from plugin to plugin.
func reachesResolver(side *policy.Coverage, r *cluster.Resolver, protocol corev1.Protocol) bool {
	if !side.Isolated(netpol.Egress) {
		return true
	}
	for i := range r.Backends {
		if port := r.Backends[i].Port(protocol); port != 0 &&
			side.Admits(netpol.Egress, r.Backends[i].Endpoint, netpol.Port{Protocol: protocol, Number: port}) {
			return true
		}
	}
	for _, a := range r.ServiceAddresses {
		if side.Admits(netpol.Egress, address(a), netpol.Port{Protocol: protocol, Number: max(r.ServicePort, 1)}) {
			return true
		}
	}
	for _, a := range r.Local {
		if side.Admits(netpol.Egress, address(a), netpol.Port{Protocol: protocol, Number: dnsPort}) {
			return true
		}
	}
	return false
}

// dnsPort is where a resolver that is an address answers. Source: RFC 1035, section 4.2.
const dnsPort = 53

// resolverRule is the egress rule that lets pods reach the resolver, over UDP and TCP (RFC 7766 wants both).
func resolverRule(r *cluster.Resolver) networkingv1.NetworkPolicyEgressRule {
	rule := networkingv1.NetworkPolicyEgressRule{}
	if len(r.Backends) > 0 {
		rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: r.Namespace}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: r.Selector},
		})
	}
	for _, a := range r.Local {
		rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: hostPrefix(a).String()}})
	}
	udp, tcp := uint16(dnsPort), uint16(dnsPort)
	if len(r.Backends) > 0 {
		udp, tcp = r.Backends[0].UDP, r.Backends[0].TCP
	}
	rule.Ports = append(rule.Ports, policyPort(corev1.ProtocolUDP, udp))
	if tcp != 0 {
		rule.Ports = append(rule.Ports, policyPort(corev1.ProtocolTCP, tcp))
	}
	return rule
}

func policyPort(protocol corev1.Protocol, number uint16) networkingv1.NetworkPolicyPort {
	port := intstr.FromInt32(int32(number))
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &port}
}

// allowDNS is the policy that lets the pods that spec.podSelector selects reach the resolver.
func allowDNS(namespace string, subject metav1.LabelSelector, r *cluster.Resolver) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "allow-dns"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: subject, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{resolverRule(r)},
		},
	}
}

// dnsPorts names the ports on which the resolver answers, for messages: "UDP 53".
func dnsPortText(r *cluster.Resolver, protocol corev1.Protocol) string {
	port := uint16(dnsPort)
	if len(r.Backends) > 0 && r.Backends[0].Port(protocol) != 0 {
		port = r.Backends[0].Port(protocol)
	}
	return fmt.Sprintf("%s %d", protocol, port)
}

// ruleCount says what the policies hold in a direction: "no rules", "2 rules".
func ruleCount(n int) string {
	if n == 0 {
		return "no rules"
	}
	return policy.Plural(n, "rule")
}
