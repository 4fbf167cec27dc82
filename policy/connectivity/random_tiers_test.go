package connectivity_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

func (d draw) tierPolicy(name string) *v1alpha2.ClusterNetworkPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Tier = pick(d, v1alpha2.AdminTier, v1alpha2.BaselineTier)
	p.Spec.Priority = pick[int32](d, 0, 10, 10, 1000)
	namespaces := d.namespaceSelector()
	if p.Spec.Subject.Namespaces = &namespaces; d.oneIn(2) {
		p.Spec.Subject = v1alpha2.ClusterNetworkPolicySubject{Pods: d.namespacedPod()}
	}
	p.Spec.Ingress = several(d, 3, func() v1alpha2.ClusterNetworkPolicyIngressRule {
		from := []v1alpha2.ClusterNetworkPolicyIngressPeer{}
		for range 1 + d.IntN(2) {
			e := d.tierPeer(3)
			from = append(from, v1alpha2.ClusterNetworkPolicyIngressPeer{Namespaces: e.Namespaces, Pods: e.Pods})
		}
		return v1alpha2.ClusterNetworkPolicyIngressRule{Action: d.action(), From: from, Protocols: several(d, 2, d.tierPort)}
	})
	p.Spec.Egress = several(d, 3, func() v1alpha2.ClusterNetworkPolicyEgressRule {
		to := []v1alpha2.ClusterNetworkPolicyEgressPeer{d.tierPeer(5)}
		for range d.IntN(2) {
			to = append(to, d.tierPeer(5))
		}
		return v1alpha2.ClusterNetworkPolicyEgressRule{Action: d.action(), To: to, Protocols: several(d, 2, d.tierPort)}
	})
	return p
}

func (d draw) action() v1alpha2.ClusterNetworkPolicyRuleAction {
	return pick[v1alpha2.ClusterNetworkPolicyRuleAction](d, "Accept", "Deny", "Pass")
}

func (d draw) namespacedPod() *v1alpha2.NamespacedPod {
	return &v1alpha2.NamespacedPod{NamespaceSelector: d.namespaceSelector(), PodSelector: d.selector()}
}

// tierPeer draws one of the first kinds of peers: pods, namespaces, unknown, networks, nodes.
func (d draw) tierPeer(kinds int) v1alpha2.ClusterNetworkPolicyEgressPeer {
	p := v1alpha2.ClusterNetworkPolicyEgressPeer{}
	switch kind := d.IntN(2 * kinds); {
	case kind == 4:
		if d.oneIn(4) {
			break // of a kind that only a newer API has
		}
		fallthrough
	case kind < 2, kind == 5:
		p.Pods = d.namespacedPod()
	case kind < 4:
		s := d.namespaceSelector()
		p.Namespaces = &s
	case kind < 8:
		for range 1 + d.IntN(2) {
			p.Networks = append(p.Networks, v1alpha2.CIDR(d.prefix().String()))
		}
	default:
		p.Nodes = &metav1.LabelSelector{}
	}
	return p
}

func (d draw) tierPort() v1alpha2.ClusterNetworkPolicyProtocol {
	var port *v1alpha2.Port
	switch d.IntN(3) {
	case 0:
		port = &v1alpha2.Port{Number: pick[int32](d, 53, 80, 8080)}
	case 1:
		start := pick[int32](d, 1, 53, 80)
		port = &v1alpha2.Port{Range: &v1alpha2.PortRange{Start: start, End: pick(d, start+1, start+27, 65535)}}
	}
	switch d.IntN(4) {
	case 0:
		return v1alpha2.ClusterNetworkPolicyProtocol{UDP: &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}}
	case 1:
		return v1alpha2.ClusterNetworkPolicyProtocol{SCTP: &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}}
	case 2:
		return v1alpha2.ClusterNetworkPolicyProtocol{DestinationNamedPort: d.portName()}
	}
	return v1alpha2.ClusterNetworkPolicyProtocol{TCP: &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}}
}
