package netpol

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
)

// oldRule adds a rule of the v1alpha1 kinds.
func (c *tierCompiler) oldRule(out *TierPolicy, d Direction, i int, name, action string, peers []tierPeer, ports *[]v1alpha1.AdminNetworkPolicyPort) {
	field := "to"
	if d == Ingress {
		field = "from"
	}
	at := fmt.Sprintf("spec.%s[%d]", d.Field(), i)
	rule := c.rule(at, field, name, action, string(v1alpha1.AdminNetworkPolicyRuleActionAllow), peers)
	if ports != nil {
		rule.restrict(c.oldPorts(at, *ports))
	}
	out.Rules[d] = append(out.Rules[d], rule)
}

func oldSources(from []v1alpha1.AdminNetworkPolicyIngressPeer) []tierPeer {
	var out []tierPeer
	for _, p := range from {
		out = append(out, tierPeer{namespaces: p.Namespaces, pods: oldPodsOf(p.Pods)})
	}
	return out
}

func oldDestinations(to []v1alpha1.AdminNetworkPolicyEgressPeer) []tierPeer {
	var out []tierPeer
	for _, p := range to {
		out = append(out, tierPeer{
			namespaces: p.Namespaces, pods: oldPodsOf(p.Pods), networks: strs(p.Networks),
			elsewhere: p.Nodes != nil || len(p.DomainNames) > 0,
		})
	}
	return out
}

func oldBaselineDestinations(to []v1alpha1.BaselineAdminNetworkPolicyEgressPeer) []tierPeer {
	var out []tierPeer
	for _, p := range to {
		out = append(out, tierPeer{namespaces: p.Namespaces, pods: oldPodsOf(p.Pods), networks: strs(p.Networks), elsewhere: p.Nodes != nil})
	}
	return out
}

func (c *tierCompiler) oldPorts(at string, items []v1alpha1.AdminNetworkPolicyPort) []PortMatch {
	var out []PortMatch
	for i := range items {
		p, here := &items[i], fmt.Sprintf("%s.ports[%d]", at, i)
		if count(p.PortNumber != nil, p.PortRange != nil, p.NamedPort != nil) > 1 {
			c.fail(here, "several fields", "set one field; give the others items of their own")
		}
		switch {
		case p.PortNumber != nil:
			out = append(out, c.span(here+".portNumber.port", c.oldProtocol(p.PortNumber.Protocol), p.PortNumber.Port, p.PortNumber.Port))
		case p.PortRange != nil:
			out = append(out, c.span(here+".portRange", c.oldProtocol(p.PortRange.Protocol), p.PortRange.Start, p.PortRange.End))
		case p.NamedPort != nil && *p.NamedPort != "":
			out = append(out, anyProtocol(*p.NamedPort)...)
		default:
			c.fail(here, "{}", "set portNumber, portRange or namedPort")
		}
	}
	return out
}

// oldProtocol defaults to TCP, as the API server does.
func (c *tierCompiler) oldProtocol(p corev1.Protocol) corev1.Protocol {
	return cmp.Or(p, corev1.ProtocolTCP)
}
