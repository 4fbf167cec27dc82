package guardrails

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// hiddenClients looks for clients whose addresses a Service hides from the pods of one change.
type hiddenClients struct {
	change   *policy.Change
	nodes    []*cluster.Node
	services []*cluster.Service // that hide them
	selected []*policy.Subject
	budget   int // of questions whether a node is let in
}

// fromOutside reports whether the Service leads from outside the cluster to its pods by way of nodes.
func fromOutside(s *cluster.Service) bool {
	return (s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort) && !s.Direct
}

// hidingServices lists the Services of the change's namespace that hide the clients' addresses.
func hidingServices(c *policy.Change) []*cluster.Service {
	var out []*cluster.Service
	if n := c.After.Namespace(c.Namespace); n != nil {
		for _, s := range n.Services {
			if fromOutside(s) && !s.ExternalLocal {
				out = append(out, s)
			}
		}
	}
	return out
}

// by gives the first Service that hides clients from pods which the rule lets them reach on a port of it, and those pods.
func (x *hiddenClients) by(rule *netpol.Rule) (first *cluster.Service, pods []*cluster.Workload) {
	for _, s := range x.services {
		var hit []*policy.Subject
		for _, subject := range x.selected {
			if x.hides(s, subject, rule) {
				hit = append(hit, subject)
			}
		}
		if len(hit) > 0 {
			pods, _ = policy.Worse(hit)
			return s, pods
		}
	}
	return nil, nil
}

// hides reports whether clients of the Service reach the subject on a port that the rule allows, with a node's address that no
// rule admits.
func (x *hiddenClients) hides(s *cluster.Service, subject *policy.Subject, rule *netpol.Rule) bool {
	if !serves(s, subject.Workload) {
		return false
	}
	return slices.ContainsFunc(s.Ports, func(p cluster.ServicePort) bool {
		port := netpol.Port{Protocol: p.Protocol, Number: p.TargetPort(subject.Workload)}
		return port.Number != 0 && rule.MatchesPort(subject.After.Endpoint, port) && !showsClients(x.change, subject, port) &&
			!x.admitsNodes(&subject.After, port)
	})
}

// showsClients reports whether a Service that keeps or does not touch the clients' addresses leads to the port from outside.
func showsClients(c *policy.Change, subject *policy.Subject, port netpol.Port) bool {
	return slices.ContainsFunc(c.After.Namespace(c.Namespace).Services, func(s *cluster.Service) bool {
		return s.Type != corev1.ServiceTypeClusterIP && s.Type != "" && (s.ExternalLocal || s.Direct) && serves(s, subject.Workload) &&
			slices.ContainsFunc(s.Ports, func(p cluster.ServicePort) bool {
				return p.Protocol == port.Protocol && p.TargetPort(subject.Workload) == port.Number
			})
	})
}

// admitsNodes reports whether the pods' rules let every known node reach the port; where none is known, every address. Once the
// budget is used up the answer is yes, because what is not known is no violation.
func (x *hiddenClients) admitsNodes(side *policy.Coverage, port netpol.Port) bool {
	if len(x.nodes) == 0 {
		every := func(b *netpol.IPBlock) bool { return b.CIDR.Bits() == 0 }
		return allowsBlock(side, netpol.Ingress, port.Protocol, port.Number, every) || allowsAnyone(side, port)
	}
	return !slices.ContainsFunc(x.nodes, func(n *cluster.Node) bool {
		x.budget--
		return x.budget >= 0 && len(n.Addresses) > 0 && !slices.ContainsFunc(n.Addresses, func(a netip.Addr) bool {
			return side.Admits(netpol.Ingress, address(a), port)
		})
	})
}

// allowsAnyone reports whether a rule without from admits the port.
func allowsAnyone(side *policy.Coverage, port netpol.Port) bool {
	return slices.ContainsFunc(side.Policies, func(p *netpol.Policy) bool {
		return p.Isolates[netpol.Ingress] && slices.ContainsFunc(p.Rules[netpol.Ingress], func(r netpol.Rule) bool {
			return len(r.Peers) == 0 && r.MatchesPort(side.Endpoint, port)
		})
	})
}

// isClients reports whether the block is for clients outside the cluster, and for nobody else that may be in it.
func (x *hiddenClients) isClients(b *netpol.IPBlock) bool {
	n := x.change.After.Network()
	if b.CIDR.Bits() == 0 || within(n.PodRanges, b.CIDR) || within(n.ServiceRanges, b.CIDR) || b.CIDR.Addr().IsLinkLocalUnicast() {
		return false
	}
	if len(x.nodes) == 0 {
		public := publicPart(&netpol.IPBlock{CIDR: b.CIDR}, nil)
		return len(public) == 1 && public[0] == b.CIDR
	}
	return !slices.ContainsFunc(x.nodes, func(node *cluster.Node) bool { return slices.ContainsFunc(node.Addresses, b.CIDR.Contains) })
}
