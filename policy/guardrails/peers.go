package guardrails

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// isDNSRule reports whether an egress rule is there for DNS alone: it has ports, and each of them is 53 or a port on
// which the resolver's pods answer, by number or by name. A rule for all ports or for a range is more than that.
func isDNSRule(rule *netpol.Rule, r *cluster.Resolver) bool {
	for i := range rule.Ports {
		if !isDNSPort(&rule.Ports[i], r) {
			return false
		}
	}
	return len(rule.Ports) > 0
}

func isDNSPort(m *netpol.PortMatch, r *cluster.Resolver) bool {
	if m.Protocol != corev1.ProtocolUDP && m.Protocol != corev1.ProtocolTCP {
		return false
	}
	if m.Name == "" && m.Number != m.End {
		return false
	}
	if m.Number == dnsPort {
		return true
	}
	for i := range r.Backends {
		b := &r.Backends[i]
		if port := b.Port(m.Protocol); port != 0 && (m.Number != 0 || m.Name != "") &&
			m.Matches(b.Endpoint, netpol.Port{Protocol: m.Protocol, Number: port}) {
			return true
		}
	}
	return false
}

// place is one selector peer of the reviewed policy.
type place struct {
	direction  netpol.Direction
	rule, item int
	peer       *netpol.Peer
}

// String writes the place as messages do: "ingress[0].from[1]".
func (p place) String() string {
	if p.direction == netpol.Ingress {
		return fmt.Sprintf("ingress[%d].from[%d]", p.rule, p.item)
	}
	return fmt.Sprintf("egress[%d].to[%d]", p.rule, p.item)
}

// in gives the peer at that place of spec.
func (p place) in(spec *networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicyPeer {
	if p.direction == netpol.Ingress {
		return &spec.Ingress[p.rule].From[p.item]
	}
	return &spec.Egress[p.rule].To[p.item]
}

// newPeers yields the selector peers of the new policy that have an effect and that the old one does not have in the
// same direction; two peers are the same where key says the same of them. Rules for DNS alone are left to
// dns-dead-peer where the resolver's pods are known.
func newPeers(c *policy.Change, key func(*netpol.Peer) string) iter.Seq[place] {
	resolver := c.After.Resolver()
	return func(yield func(place) bool) {
		for _, d := range netpol.Directions {
			if !c.NewPolicy.Isolates[d] {
				continue
			}
			old := peerKeys(c.OldPolicy, d, key)
			for i := range c.NewPolicy.Rules[d] {
				rule := &c.NewPolicy.Rules[d][i]
				if d == netpol.Egress && len(resolver.Backends) > 0 && isDNSRule(rule, resolver) {
					continue
				}
				for j := range rule.Peers {
					p := &rule.Peers[j]
					if p.Block == nil && (len(old) == 0 || !old[key(p)]) && !yield(place{d, i, j, p}) {
						return
					}
				}
			}
		}
	}
}

func peerKeys(p *netpol.Policy, d netpol.Direction, key func(*netpol.Peer) string) map[string]bool {
	out := map[string]bool{}
	if p == nil || !p.Isolates[d] {
		return out
	}
	for i := range p.Rules[d] {
		for j := range p.Rules[d][i].Peers {
			out[key(&p.Rules[d][i].Peers[j])] = true
		}
	}
	return out
}

// peerKey tells peers of one namespace's policies apart by what is written in them, not by the order in which it is.
func peerKey(p *netpol.Peer) string {
	if p.Block != nil {
		except := make([]string, 0, len(p.Block.Except))
		for _, e := range p.Block.Except {
			except = append(except, e.String())
		}
		slices.Sort(except)
		return "block " + p.Block.CIDR.String() + " except " + strings.Join(except, ",")
	}
	pods := "all"
	if p.Pods != nil && !p.Pods.Everything() {
		pods = p.Pods.String()
	}
	return namespacesKey(p) + " pods " + pods
}

// namespacesKey tells peers apart by their namespaceSelector.
func namespacesKey(p *netpol.Peer) string {
	if p.Namespaces == nil {
		return "own"
	}
	return "namespaces " + p.Namespaces.String()
}

// maxDeadPeers bounds how many peers one guardrail complains about: whoever mends those sees the next ones.
const maxDeadPeers = 20
