package guardrails

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// reach tells of what policies allow on all TCP ports: the whole of something, or not.
type reach struct {
	pods       bool // every pod of the cluster
	ipv4, ipv6 bool // every address of the family
}

// String writes what is reached, which is something: "anything", "every pod", "any address".
func (r reach) String() string {
	if r.pods && r.ipv4 && r.ipv6 {
		return "anything"
	}
	addresses := "any address"
	switch {
	case !r.ipv4 && !r.ipv6:
		return "every pod"
	case !r.ipv4:
		addresses = "any IPv6 address"
	}
	if r.pods {
		return "every pod and " + addresses
	}
	return addresses
}

func (r reach) without(x reach) reach {
	return reach{pods: r.pods && !x.pods, ipv4: r.ipv4 && !x.ipv4, ipv6: r.ipv6 && !x.ipv6}
}

func (r reach) with(x reach) reach {
	return reach{pods: r.pods || x.pods, ipv4: r.ipv4 || x.ipv4, ipv6: r.ipv6 || x.ipv6}
}

// reachOf gives what the policies, which select the same pods, allow together in direction d.
func reachOf(policies []*netpol.Policy, d netpol.Direction) reach {
	var rules []*netpol.Rule
	isolated := false
	for _, p := range policies {
		if !p.Isolates[d] {
			continue
		}
		isolated = true
		for i := range p.Rules[d] {
			rules = append(rules, &p.Rules[d][i])
		}
	}
	if !isolated {
		return reach{pods: true, ipv4: true, ipv6: true}
	}
	return reach{
		pods: everyPodOnTCP(rules),
		ipv4: everyAddress(rules, netip.PrefixFrom(netip.IPv4Unspecified(), 0)),
		ipv6: everyAddress(rules, netip.PrefixFrom(netip.IPv6Unspecified(), 0)),
	}
}

// everyPodOnTCP reports whether those rules that match every pod allow all TCP ports together. Named ports stand for a few.
func everyPodOnTCP(rules []*netpol.Rule) bool {
	missing := connectivity.PortsOf(connectivity.PortRange{Protocol: corev1.ProtocolTCP, First: 1, Last: lastPort})
	for _, r := range rules {
		if matchesEveryPod(r) {
			missing = missing.Minus(destinationPorts(r, nil))
		}
	}
	return missing.Empty()
}

// matchesEveryPod reports whether the rule matches all pods of all namespaces.
func matchesEveryPod(r *netpol.Rule) bool {
	for i := range r.Peers {
		p := &r.Peers[i]
		if p.Block == nil && p.Namespaces != nil && p.Namespaces.Everything() && (p.Pods == nil || p.Pods.Everything()) {
			return true
		}
	}
	return len(r.Peers) == 0
}

// maxBlocks bounds the ipBlocks that are added up for one family, each once for each run of ports that rules tell apart:
// some hundred milliseconds. Beyond it the answer is no, because what is not known is no violation.
const maxBlocks = 200_000

// everyAddress reports whether the rules allow all TCP ports with each address of the family.
func everyAddress(rules []*netpol.Rule, family netip.Prefix) bool {
	left := maxBlocks
	for _, port := range portStarts(rules) {
		var with []*netpol.Rule
		for _, r := range rules {
			if destinationPorts(r, nil).Contains(netpol.Port{Protocol: corev1.ProtocolTCP, Number: port}) {
				with = append(with, r)
			}
		}
		if !covers(with, family, &left) {
			return false
		}
	}
	return true
}

// portStarts lists where the runs of TCP ports begin that no rule tells apart.
func portStarts(rules []*netpol.Rule) []uint16 {
	starts := []uint16{1}
	for _, r := range rules {
		for _, ports := range destinationPorts(r, nil).Ranges() {
			if ports.Protocol == corev1.ProtocolTCP {
				starts = append(starts, ports.First)
				if ports.Last < lastPort {
					starts = append(starts, ports.Last+1)
				}
			}
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}

// covers reports whether the peers of the rules hold each address of the family together. It lowers left by the blocks
// that it looks at.
func covers(rules []*netpol.Rule, family netip.Prefix, left *int) bool {
	var all netipx.IPSetBuilder
	for _, r := range rules {
		if len(r.Peers) == 0 {
			return true
		}
		for i := range r.Peers {
			b := r.Peers[i].Block
			if b == nil || b.CIDR.Addr().BitLen() != family.Addr().BitLen() {
				continue
			}
			if *left -= 1 + len(b.Except); *left < 0 {
				return false
			}
			addBlock(&all, b)
		}
	}
	set, err := all.IPSet()
	return err == nil && set.ContainsPrefix(family)
}

func addBlock(to *netipx.IPSetBuilder, b *netpol.IPBlock) {
	if len(b.Except) == 0 {
		to.AddPrefix(b.CIDR)
		return
	}
	var block netipx.IPSetBuilder
	block.AddPrefix(b.CIDR)
	for _, x := range b.Except {
		block.RemovePrefix(x)
	}
	if set, err := block.IPSet(); err == nil {
		to.AddSet(set)
	}
}
