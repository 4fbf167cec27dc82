package netpol_test

import (
	"cmp"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// tierOracle answers questions about clusters with policy tiers straight from the API objects, as oracle does for
// NetworkPolicies. The older kinds are rewritten as ClusterNetworkPolicies first.
type tierOracle struct {
	oracle
	tiers []tierObject
}

// tierObject is a cluster-wide policy of any kind.
type tierObject struct {
	kind string
	*v1alpha2.ClusterNetworkPolicy
}

func (o tierOracle) connects(from, to netpol.Endpoint, port netpol.Port) bool {
	if (oracle{}).connects(from, to, port) && from.Namespace != "" && from.Namespace == to.Namespace && from.Pod != "" && from.Pod == to.Pod {
		return true
	}
	if (from.IsNode || from.HostNetwork) && from.Node != "" && from.Node == to.Node {
		return true
	}
	return o.admitted(netpol.Egress, from, to, port) && o.admitted(netpol.Ingress, to, from, port)
}

// admitted goes through the tiers in the order of the documentation: Admin, NetworkPolicy, Baseline; what none decides
// is allowed.
func (o tierOracle) admitted(d netpol.Direction, subject, peer netpol.Endpoint, port netpol.Port) bool {
	switch o.ask("Admin", d, subject, peer, port) {
	case "Accept":
		return true
	case "Deny":
		return false
	}
	if o.isolated(d, subject) {
		return o.oracle.admitted(d, subject, peer, port)
	}
	return o.ask("Baseline", d, subject, peer, port) != "Deny"
}

// ask gives the action of the rule with the highest precedence in a tier that matches.
func (o tierOracle) ask(tier string, d netpol.Direction, subject, peer netpol.Endpoint, port netpol.Port) string {
	ordered := slices.Clone(o.tiers)
	slices.SortFunc(ordered, func(a, b tierObject) int {
		return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), strings.Compare(a.kind, b.kind), strings.Compare(a.Name, b.Name))
	})
	for _, p := range ordered {
		if string(p.Spec.Tier) != tier || !tierSelects(p.Spec.Subject.Namespaces, p.Spec.Subject.Pods, subject) {
			continue
		}
		if d == netpol.Ingress {
			for _, r := range p.Spec.Ingress {
				var peers []v1alpha2.ClusterNetworkPolicyEgressPeer
				for _, from := range r.From {
					peers = append(peers, v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: from.Namespaces, Pods: from.Pods})
				}
				if action := tierRule(string(r.Action), peers, r.Protocols, peer, subject, port); action != "" {
					return action
				}
			}
			continue
		}
		for _, r := range p.Spec.Egress {
			if action := tierRule(string(r.Action), r.To, r.Protocols, peer, peer, port); action != "" {
				return action
			}
		}
	}
	return ""
}

// tierRule gives the action of a rule where it matches. A peer without any field fails closed.
func tierRule(action string, peers []v1alpha2.ClusterNetworkPolicyEgressPeer, protocols []v1alpha2.ClusterNetworkPolicyProtocol,
	peer, destination netpol.Endpoint, port netpol.Port,
) string {
	for _, p := range peers {
		if p.Namespaces != nil || p.Pods != nil || len(p.Networks) > 0 || p.Nodes != nil || len(p.DomainNames) > 0 {
			continue
		}
		if action == "Accept" {
			return ""
		}
		return "Deny"
	}
	if !tierPorts(protocols, destination, port) {
		return ""
	}
	for _, p := range peers {
		if tierPeer(p, peer) {
			return action
		}
	}
	return ""
}

func tierPeer(p v1alpha2.ClusterNetworkPolicyEgressPeer, e netpol.Endpoint) bool {
	if p.Namespaces != nil || p.Pods != nil {
		return tierSelects(p.Namespaces, p.Pods, e)
	}
	for _, cidr := range p.Networks {
		for _, a := range e.Addresses {
			if oracleBlock(&networkingv1.IPBlock{CIDR: string(cidr)}, a) {
				return true
			}
		}
		// A pod that has not got its address yet will have one in all of IPv4.
		if len(e.Addresses) == 0 && oraclePod(e) && oracleInCIDR(string(cidr), strings.Repeat("0", 32)) && oracleInCIDR(string(cidr), strings.Repeat("1", 32)) {
			return true
		}
	}
	return false
}

// tierSelects serves subjects and peers alike; neither includes host-networked pods.
func tierSelects(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod, e netpol.Endpoint) bool {
	if !oraclePod(e) {
		return false
	}
	if namespaces != nil {
		return oracleSelector(*namespaces, e.NamespaceLabels)
	}
	return oracleSelector(pods.NamespaceSelector, e.NamespaceLabels) && oracleSelector(pods.PodSelector, e.Labels)
}

func tierPorts(protocols []v1alpha2.ClusterNetworkPolicyProtocol, destination netpol.Endpoint, port netpol.Port) bool {
	if len(protocols) == 0 {
		return true
	}
	number := func(name string, p *v1alpha2.Port) bool {
		if string(port.Protocol) != name {
			return false
		}
		if p == nil {
			return true
		}
		if p.Range != nil {
			return p.Range.Start <= int32(port.Number) && int32(port.Number) <= p.Range.End
		}
		return p.Number == int32(port.Number)
	}
	for _, p := range protocols {
		switch {
		case p.TCP != nil && number("TCP", p.TCP.DestinationPort),
			p.UDP != nil && number("UDP", p.UDP.DestinationPort),
			p.SCTP != nil && number("SCTP", p.SCTP.DestinationPort):
			return true
		}
		for _, c := range destination.Ports {
			if p.DestinationNamedPort != "" && c.Name == p.DestinationNamedPort && c.Protocol == port.Protocol && c.Number == port.Number {
				return true
			}
		}
	}
	return false
}

// fromAdmin rewrites an AdminNetworkPolicy.
func fromAdmin(p *v1alpha1.AdminNetworkPolicy) tierObject {
	out := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: p.ObjectMeta}
	out.Spec.Tier, out.Spec.Priority = v1alpha2.AdminTier, p.Spec.Priority
	out.Spec.Subject.Namespaces, out.Spec.Subject.Pods = p.Spec.Subject.Namespaces, fromPods(p.Spec.Subject.Pods)
	for _, r := range p.Spec.Ingress {
		out.Spec.Ingress = append(out.Spec.Ingress, fromIngress(string(r.Action), r.From, r.Ports))
	}
	for _, r := range p.Spec.Egress {
		rule := v1alpha2.ClusterNetworkPolicyEgressRule{Action: fromAction(string(r.Action)), Protocols: fromPorts(r.Ports)}
		for _, to := range r.To {
			rule.To = append(rule.To, fromDestination(to))
		}
		out.Spec.Egress = append(out.Spec.Egress, rule)
	}
	return tierObject{"AdminNetworkPolicy", out}
}

// fromBaseline rewrites a BaselineAdminNetworkPolicy: it is the last of the Baseline tier.
func fromBaseline(p *v1alpha1.BaselineAdminNetworkPolicy) tierObject {
	out := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: p.ObjectMeta}
	out.Spec.Tier, out.Spec.Priority = v1alpha2.BaselineTier, 1_000_000
	out.Spec.Subject.Namespaces, out.Spec.Subject.Pods = p.Spec.Subject.Namespaces, fromPods(p.Spec.Subject.Pods)
	for _, r := range p.Spec.Ingress {
		out.Spec.Ingress = append(out.Spec.Ingress, fromIngress(string(r.Action), r.From, r.Ports))
	}
	for _, r := range p.Spec.Egress {
		rule := v1alpha2.ClusterNetworkPolicyEgressRule{Action: fromAction(string(r.Action)), Protocols: fromPorts(r.Ports)}
		for _, to := range r.To {
			rule.To = append(rule.To, fromDestination(v1alpha1.AdminNetworkPolicyEgressPeer{
				Namespaces: to.Namespaces, Pods: to.Pods, Nodes: to.Nodes, Networks: to.Networks,
			}))
		}
		out.Spec.Egress = append(out.Spec.Egress, rule)
	}
	return tierObject{"BaselineAdminNetworkPolicy", out}
}

func fromIngress(action string, from []v1alpha1.AdminNetworkPolicyIngressPeer, ports *[]v1alpha1.AdminNetworkPolicyPort) v1alpha2.ClusterNetworkPolicyIngressRule {
	out := v1alpha2.ClusterNetworkPolicyIngressRule{Action: fromAction(action), Protocols: fromPorts(ports)}
	for _, p := range from {
		out.From = append(out.From, v1alpha2.ClusterNetworkPolicyIngressPeer{Namespaces: p.Namespaces, Pods: fromPods(p.Pods)})
	}
	return out
}

func fromDestination(p v1alpha1.AdminNetworkPolicyEgressPeer) v1alpha2.ClusterNetworkPolicyEgressPeer {
	out := v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: p.Namespaces, Pods: fromPods(p.Pods), Nodes: p.Nodes}
	for _, cidr := range p.Networks {
		out.Networks = append(out.Networks, v1alpha2.CIDR(cidr))
	}
	for _, name := range p.DomainNames {
		out.DomainNames = append(out.DomainNames, v1alpha2.DomainName(name))
	}
	return out
}

func fromAction(action string) v1alpha2.ClusterNetworkPolicyRuleAction {
	if action == "Allow" {
		return v1alpha2.ClusterNetworkPolicyRuleActionAccept
	}
	return v1alpha2.ClusterNetworkPolicyRuleAction(action)
}

func fromPods(p *v1alpha1.NamespacedPod) *v1alpha2.NamespacedPod {
	if p == nil {
		return nil
	}
	return &v1alpha2.NamespacedPod{NamespaceSelector: p.NamespaceSelector, PodSelector: p.PodSelector}
}

func fromPorts(ports *[]v1alpha1.AdminNetworkPolicyPort) []v1alpha2.ClusterNetworkPolicyProtocol {
	if ports == nil {
		return nil
	}
	var out []v1alpha2.ClusterNetworkPolicyProtocol
	for _, p := range *ports {
		switch {
		case p.NamedPort != nil:
			out = append(out, v1alpha2.ClusterNetworkPolicyProtocol{DestinationNamedPort: *p.NamedPort})
		case p.PortNumber != nil:
			out = append(out, fromPort(string(p.PortNumber.Protocol), &v1alpha2.Port{Number: p.PortNumber.Port}))
		case p.PortRange != nil:
			out = append(out, fromPort(string(p.PortRange.Protocol), &v1alpha2.Port{Range: &v1alpha2.PortRange{Start: p.PortRange.Start, End: p.PortRange.End}}))
		}
	}
	return out
}

// fromPort gives a port of the protocol, TCP where none is named.
func fromPort(protocol string, port *v1alpha2.Port) v1alpha2.ClusterNetworkPolicyProtocol {
	switch protocol {
	case "UDP":
		return v1alpha2.ClusterNetworkPolicyProtocol{UDP: &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}}
	case "SCTP":
		return v1alpha2.ClusterNetworkPolicyProtocol{SCTP: &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}}
	}
	return v1alpha2.ClusterNetworkPolicyProtocol{TCP: &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}}
}
