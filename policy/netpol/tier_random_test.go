package netpol_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// tierDraw is a random cluster-wide policy: as it was written, what it compiles to, and what the oracle makes of it.
type tierDraw struct {
	Written  any
	compiled *netpol.TierPolicy
	object   tierObject
}

// tiers draws cluster-wide policies of all kinds. Priorities are few, so that equal ones happen.
func (d draw) tiers() ([]tierDraw, error) {
	var out []tierDraw
	for i := range d.IntN(4) {
		p := d.clusterNetworkPolicy(fmt.Sprintf("cnp%d", i))
		compiled, err := netpol.CompileClusterNetworkPolicy(p)
		if err != nil {
			return nil, err
		}
		out = append(out, tierDraw{p, compiled, tierObject{"ClusterNetworkPolicy", p}})
	}
	for i := range d.IntN(2) {
		p := d.adminNetworkPolicy(fmt.Sprintf("anp%d", i))
		compiled, err := netpol.CompileAdminNetworkPolicy(p)
		if err != nil {
			return nil, err
		}
		out = append(out, tierDraw{p, compiled, fromAdmin(p)})
	}
	if d.oneIn(3) {
		p := d.baselineAdminNetworkPolicy()
		compiled, err := netpol.CompileBaselineAdminNetworkPolicy(p)
		if err != nil {
			return nil, err
		}
		out = append(out, tierDraw{p, compiled, fromBaseline(p)})
	}
	mix(d, out)
	return out, nil
}

func (d draw) clusterNetworkPolicy(name string) *v1alpha2.ClusterNetworkPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Tier, p.Spec.Priority = pick(d, v1alpha2.AdminTier, v1alpha2.BaselineTier), pick[int32](d, 0, 10, 1000)
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = d.tierEnds()
	p.Spec.Ingress = several(d, 3, func() v1alpha2.ClusterNetworkPolicyIngressRule {
		r := v1alpha2.ClusterNetworkPolicyIngressRule{Action: d.tierAction(), Protocols: several(d, 2, d.tierProtocol)}
		for range 1 + d.IntN(2) {
			peer := v1alpha2.ClusterNetworkPolicyIngressPeer{}
			if !d.oneIn(12) { // without fields it is of a kind that only a newer API has
				peer.Namespaces, peer.Pods = d.tierEnds()
			}
			r.From = append(r.From, peer)
		}
		return r
	})
	p.Spec.Egress = several(d, 3, func() v1alpha2.ClusterNetworkPolicyEgressRule {
		r := v1alpha2.ClusterNetworkPolicyEgressRule{Action: d.tierAction(), Protocols: several(d, 2, d.tierProtocol)}
		for range 1 + d.IntN(2) {
			r.To = append(r.To, d.tierDestination())
		}
		return r
	})
	return p
}

func (d draw) tierAction() v1alpha2.ClusterNetworkPolicyRuleAction {
	return pick[v1alpha2.ClusterNetworkPolicyRuleAction](d, "Accept", "Deny", "Pass")
}

// tierEnds draws the fields by which subjects and peers select pods, of which exactly one is set.
func (d draw) tierEnds() (namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod) {
	s := d.selector()
	if d.oneIn(2) {
		return &s, nil
	}
	return nil, &v1alpha2.NamespacedPod{NamespaceSelector: s, PodSelector: d.selector()}
}

func (d draw) tierDestination() v1alpha2.ClusterNetworkPolicyEgressPeer {
	p := v1alpha2.ClusterNetworkPolicyEgressPeer{}
	switch d.IntN(12) {
	case 0:
	case 1:
		p.Nodes = &metav1.LabelSelector{}
	case 2:
		p.DomainNames = []v1alpha2.DomainName{"example.com"}
	case 3, 4, 5, 6:
		for range 1 + d.IntN(2) {
			p.Networks = append(p.Networks, v1alpha2.CIDR(d.block().CIDR))
		}
	default:
		p.Namespaces, p.Pods = d.tierEnds()
	}
	return p
}

func (d draw) tierProtocol() v1alpha2.ClusterNetworkPolicyProtocol {
	if d.oneIn(3) {
		return v1alpha2.ClusterNetworkPolicyProtocol{DestinationNamedPort: d.portName()}
	}
	var port *v1alpha2.Port
	switch d.IntN(3) {
	case 0:
		port = &v1alpha2.Port{Number: pick[int32](d, 53, 80, 8080)}
	case 1:
		start := pick[int32](d, 1, 53, 80)
		port = &v1alpha2.Port{Range: &v1alpha2.PortRange{Start: start, End: pick(d, start+1, start+27, 65535)}}
	}
	return fromPort(string(d.protocol()), port)
}

func (d draw) adminNetworkPolicy(name string) *v1alpha1.AdminNetworkPolicy {
	p := &v1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Priority = pick[int32](d, 0, 10, 1000)
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = d.oldEnds()
	p.Spec.Ingress = several(d, 3, func() v1alpha1.AdminNetworkPolicyIngressRule {
		return v1alpha1.AdminNetworkPolicyIngressRule{
			Action: pick[v1alpha1.AdminNetworkPolicyRuleAction](d, "Allow", "Deny", "Pass"), From: d.oldSources(), Ports: d.oldPorts(),
		}
	})
	p.Spec.Egress = several(d, 3, func() v1alpha1.AdminNetworkPolicyEgressRule {
		r := v1alpha1.AdminNetworkPolicyEgressRule{Action: pick[v1alpha1.AdminNetworkPolicyRuleAction](d, "Allow", "Deny", "Pass"), Ports: d.oldPorts()}
		for range 1 + d.IntN(2) {
			peer := v1alpha1.AdminNetworkPolicyEgressPeer{}
			switch {
			case d.oneIn(12):
			case d.oneIn(3):
				peer.Networks = []v1alpha1.CIDR{v1alpha1.CIDR(d.block().CIDR)}
			default:
				peer.Namespaces, peer.Pods = d.oldEnds()
			}
			r.To = append(r.To, peer)
		}
		return r
	})
	return p
}

func (d draw) baselineAdminNetworkPolicy() *v1alpha1.BaselineAdminNetworkPolicy {
	p := &v1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = d.oldEnds()
	p.Spec.Ingress = several(d, 3, func() v1alpha1.BaselineAdminNetworkPolicyIngressRule {
		return v1alpha1.BaselineAdminNetworkPolicyIngressRule{
			Action: pick[v1alpha1.BaselineAdminNetworkPolicyRuleAction](d, "Allow", "Deny"), From: d.oldSources(), Ports: d.oldPorts(),
		}
	})
	p.Spec.Egress = several(d, 3, func() v1alpha1.BaselineAdminNetworkPolicyEgressRule {
		peer := v1alpha1.BaselineAdminNetworkPolicyEgressPeer{}
		if peer.Namespaces, peer.Pods = d.oldEnds(); d.oneIn(3) {
			peer = v1alpha1.BaselineAdminNetworkPolicyEgressPeer{Networks: []v1alpha1.CIDR{v1alpha1.CIDR(d.block().CIDR)}}
		}
		return v1alpha1.BaselineAdminNetworkPolicyEgressRule{
			Action: pick[v1alpha1.BaselineAdminNetworkPolicyRuleAction](d, "Allow", "Deny"), Ports: d.oldPorts(),
			To: []v1alpha1.BaselineAdminNetworkPolicyEgressPeer{peer},
		}
	})
	return p
}

func (d draw) oldEnds() (namespaces *metav1.LabelSelector, pods *v1alpha1.NamespacedPod) {
	namespaces, new := d.tierEnds()
	if new == nil {
		return namespaces, nil
	}
	return nil, &v1alpha1.NamespacedPod{NamespaceSelector: new.NamespaceSelector, PodSelector: new.PodSelector}
}

func (d draw) oldSources() []v1alpha1.AdminNetworkPolicyIngressPeer {
	var out []v1alpha1.AdminNetworkPolicyIngressPeer
	for range 1 + d.IntN(2) {
		peer := v1alpha1.AdminNetworkPolicyIngressPeer{}
		if !d.oneIn(12) {
			peer.Namespaces, peer.Pods = d.oldEnds()
		}
		out = append(out, peer)
	}
	return out
}

func (d draw) oldPorts() *[]v1alpha1.AdminNetworkPolicyPort {
	if d.oneIn(3) {
		return nil
	}
	protocol := pick[corev1.Protocol](d, "", "TCP", "UDP", "SCTP")
	out := []v1alpha1.AdminNetworkPolicyPort{}
	for range 1 + d.IntN(2) {
		name, start := d.portName(), pick[int32](d, 1, 53, 80)
		out = append(out, pick(d,
			v1alpha1.AdminNetworkPolicyPort{NamedPort: &name},
			v1alpha1.AdminNetworkPolicyPort{PortNumber: &v1alpha1.Port{Protocol: protocol, Port: start}},
			v1alpha1.AdminNetworkPolicyPort{PortRange: &v1alpha1.PortRange{Protocol: protocol, Start: start, End: pick(d, start+1, start+27, 65535)}},
		))
	}
	return &out
}
