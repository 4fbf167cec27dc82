package guardrails

import (
	"fmt"
	"net/netip"
	"slices"

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
	if reachesBackends(side, r, protocol) || reachesLocal(side, r, protocol) {
		return true
	}
	return slices.ContainsFunc(r.ServiceAddresses, func(a netip.Addr) bool {
		return side.Admits(netpol.Egress, address(a), netpol.Port{Protocol: protocol, Number: max(r.ServicePort, 1)})
	})
}

// reachesBackends is reachesResolver for the resolver's pods alone.
func reachesBackends(side *policy.Coverage, r *cluster.Resolver, protocol corev1.Protocol) bool {
	if !side.Isolated(netpol.Egress) {
		return true
	}
	for i := range r.Backends {
		if port := r.Backends[i].Port(protocol); port != 0 &&
			(side.Admits(netpol.Egress, r.Backends[i].Endpoint, netpol.Port{Protocol: protocol, Number: port}) ||
				len(r.Backends[i].Endpoint.Addresses) == 0 && allowsBlock(side, netpol.Egress, protocol, port, anyBlock)) {
			return true
		}
	}
	return false
}

// reachesLocal is reachesResolver for addresses that no pod selector matches.
func reachesLocal(side *policy.Coverage, r *cluster.Resolver, protocol corev1.Protocol) bool {
	if !side.Isolated(netpol.Egress) {
		return true
	}
	for _, a := range r.Local {
		if side.Admits(netpol.Egress, address(a), netpol.Port{Protocol: protocol, Number: dnsPort}) {
			return true
		}
	}
	// A cache on each node listens on a link-local address and need not be one that the snapshot knows.
	return allowsBlock(side, netpol.Egress, protocol, dnsPort, linkLocalBlock)
}

// allowsBlock reports whether a rule of the side's policies admits the port to an ipBlock for which match holds. It is
// for what cannot be compared with an address because the address is not known.
func allowsBlock(side *policy.Coverage, d netpol.Direction, protocol corev1.Protocol, port uint16, match func(*netpol.IPBlock) bool) bool {
	for _, p := range side.Policies {
		for i := range p.Rules[d] {
			rule := &p.Rules[d][i]
			// An address that is no pod has no named ports; the subject's own serve for ingress.
			destination := netpol.Endpoint{}
			if d == netpol.Ingress {
				destination = side.Endpoint
			}
			if p.Isolates[d] && rule.MatchesPort(destination, netpol.Port{Protocol: protocol, Number: port}) &&
				slices.ContainsFunc(rule.Peers, func(peer netpol.Peer) bool { return peer.Block != nil && match(peer.Block) }) {
				return true
			}
		}
	}
	return false
}

func anyBlock(*netpol.IPBlock) bool { return true }

// linkLocalBits is the length of the IPv4 link-local range, 169.254.0.0/16 (RFC 3927).
const linkLocalBits = 16

func linkLocalBlock(b *netpol.IPBlock) bool {
	return b.CIDR.Addr().IsLinkLocalUnicast() && b.CIDR.Bits() >= linkLocalBits
}

// dnsPort is where a resolver that is an address answers. Source: RFC 1035, section 4.2.
const dnsPort = 53

// resolverRule is the egress rule that lets pods reach the resolver, over UDP and TCP (RFC 7766 wants both).
func resolverRule(r *cluster.Resolver) networkingv1.NetworkPolicyEgressRule {
	rule := networkingv1.NetworkPolicyEgressRule{}
	if len(r.Backends) > 0 {
		rule.To = append(rule.To, resolverPeer(r))
	}
	for _, a := range r.Local {
		rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: hostPrefix(a).String()}})
	}
	rule.Ports = resolverPorts(r)
	return rule
}

// resolverPorts are the ports on which the resolver answers.
func resolverPorts(r *cluster.Resolver) []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	add := func(protocol corev1.Protocol, number uint16) {
		port := policyPort(protocol, number)
		if number != 0 && !slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
			return *p.Protocol == protocol && *p.Port == *port.Port
		}) {
			ports = append(ports, port)
		}
	}
	for _, protocol := range [...]corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		for i := range r.Backends {
			add(protocol, r.Backends[i].Port(protocol))
		}
		if len(r.Local) > 0 || len(r.Backends) == 0 {
			add(protocol, dnsPort)
		}
	}
	return ports
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

// dnsPortText names the port on which the resolver answers, for messages: "UDP 53".
func dnsPortText(r *cluster.Resolver, protocol corev1.Protocol) string {
	port := uint16(dnsPort)
	if len(r.Backends) > 0 && r.Backends[0].Port(protocol) != 0 {
		port = r.Backends[0].Port(protocol)
	}
	return fmt.Sprintf("%s %d", protocol, port)
}

// rulesThatMiss begins the sentence that none of n rules reaches something: "2 rules, none reaches".
func rulesThatMiss(n int) string {
	switch n {
	case 0:
		return "no rules, so nothing reaches"
	case 1:
		return "1 rule, which does not reach"
	}
	return policy.Plural(n, "rule") + ", none reaches"
}
