package guardrails

import (
	"fmt"
	"net/netip"

	"go4.org/netipx"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// nameablePeers reports whether a message may name the peers of the flow: pods of which it may tell, or addresses.
func nameablePeers(c *policy.Change, f *policy.Flow) bool {
	return f.First == nil || c.MayName(f.Namespace)
}

// connection writes the flow's source and destination, with the first of its peers for all of them:
// "app=web->app=api".
func connection(c *policy.Change, f *policy.Flow) string {
	var peer string
	switch {
	case f.First == nil:
		peer = rangeWords(f.Range)
	case f.Namespace == c.Namespace:
		peer = f.First.Label()
	default:
		peer = f.Namespace + "/" + f.First.Label()
	}
	if f.Direction == netpol.Egress {
		return f.Subject.Label() + "->" + peer
	}
	return peer + "->" + f.Subject.Label()
}

// rangeWords writes addresses as a CIDR where they are one.
func rangeWords(r connectivity.Range) string {
	if p, ok := netipx.IPRangeFrom(r.First, r.Last).Prefix(); ok {
		return prefixWords(p)
	}
	return r.String()
}

func prefixWords(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// portWords writes ports as they follow a destination: ":8080", " UDP 53", " TCP 80 and 443", and nothing for all ports.
func portWords(p connectivity.Ports) string {
	ranges := p.Ranges()
	if len(ranges) == 1 && ranges[0].Protocol == corev1.ProtocolTCP && ranges[0].First == ranges[0].Last {
		return fmt.Sprintf(":%d", ranges[0].First)
	}
	if p.All() {
		return ""
	}
	return " " + portsWords(p)
}

// portsWords writes ports in few words: "TCP 8080", "TCP 80 and 443", "all ports but UDP 53", "TCP 80 and 4 more".
func portsWords(p connectivity.Ports) string {
	ranges := p.Ranges()
	if rest := connectivity.AllPorts().Minus(p); !rest.Empty() && len(rest.Ranges()) < len(ranges) {
		return "all ports but " + portsWords(rest)
	}
	if len(ranges) < 2 || p.All() {
		return p.String()
	}
	first, second := connectivity.PortsOf(ranges[0]).String(), connectivity.PortsOf(ranges[1])
	switch {
	case len(ranges) > 2:
		return fmt.Sprintf("%s and %d more", first, len(ranges)-1)
	case ranges[0].Protocol != ranges[1].Protocol:
		return first + " and " + second.String()
	case ranges[1].First == ranges[1].Last:
		return fmt.Sprintf("%s and %d", first, ranges[1].First)
	}
	return fmt.Sprintf("%s and %d-%d", first, ranges[1].First, ranges[1].Last)
}

// namespaceNamed reports whether the request says the namespace's name itself: it is the object's, or the one that a
// peer of the policy demands.
func namespaceNamed(c *policy.Change, namespace string) bool {
	if c.MayName(namespace) {
		return true
	}
	for _, p := range [...]*netpol.Policy{c.OldPolicy, c.NewPolicy} {
		if p == nil {
			continue
		}
		for _, rules := range p.Rules {
			for i := range rules {
				for j := range rules[i].Peers {
					if n := rules[i].Peers[j].Namespaces; n != nil && exactly(n, namespace) {
						return true
					}
				}
			}
		}
	}
	return false
}

func exactly(s *netpol.Selector, namespace string) bool {
	name, ok := s.Exact(corev1.LabelMetadataName)
	return ok && name == namespace
}

// touchedBy lists the touched workloads of the flows, each once, and says whether live pods are among them.
func touchedBy(flows []*policy.Flow) (workloads []*cluster.Workload, live bool) {
	seen := map[*cluster.Workload]bool{}
	for _, f := range flows {
		if !seen[f.Subject] {
			seen[f.Subject] = true
			workloads = append(workloads, f.Subject)
			live = live || f.Subject.Live()
		}
	}
	return workloads, live
}

// destinationPorts gives the ports that a rule stands for on a pod with these container ports, whichever the direction.
func destinationPorts(r *netpol.Rule, declared []netpol.ContainerPort) connectivity.Ports {
	return portsOf(r, netpol.Ingress, declared)
}
