package guardrails

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// within reports whether one of the ranges holds all of p.
func within(ranges []netip.Prefix, p netip.Prefix) bool {
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return holdsPrefix(r, p) })
}

func isOneOf(ranges []netip.Prefix, p netip.Prefix) bool { return slices.Contains(ranges, p) }

// A range of pods is at least this long. Clusters get a /14 to a /16, or an IPv6 /48 to a /64; the parts of the nodes are longer.
const (
	leastPodBits  = 14
	leastPodBits6 = 48
)

// wholePodRange reports whether p is likely the range of which the nodes have parts: it holds the parts of its IP family, and
// nothing else that is known of the cluster.
func wholePodRange(c *policy.Change, n *cluster.Network, p netip.Prefix) bool {
	least := leastPodBits
	if p.Addr().Is6() {
		least = leastPodBits6
	}
	if p.Bits() < least || slices.ContainsFunc(n.ServiceRanges, p.Overlaps) || isPrivateNetwork(p) {
		return false
	}
	parts := 0
	for _, r := range n.PodRanges {
		if r.Addr().Is4() != p.Addr().Is4() {
			continue
		}
		if parts++; !holdsPrefix(p, r) {
			return false
		}
	}
	return parts > 0 && !slices.ContainsFunc(c.After.Nodes(), func(n *cluster.Node) bool { return slices.ContainsFunc(n.Addresses, p.Contains) })
}

// isPrivateNetwork reports whether p is one of the ranges for private networks as a whole.
func isPrivateNetwork(p netip.Prefix) bool {
	for _, f := range ipFamilies() {
		if slices.Contains(f.private, p.String()) {
			return true
		}
	}
	return false
}

// ownAddress reports whether p is one of the first two addresses of a node's range of pods. Those are no pod's: bridges and
// tunnels of the node itself have them, and with them comes what the node sends to its pods.
func ownAddress(c *policy.Change, p netip.Prefix) bool {
	return p.IsSingleIP() && slices.ContainsFunc(c.After.Nodes(), func(n *cluster.Node) bool {
		return slices.ContainsFunc(n.PodRanges, func(r netip.Prefix) bool {
			first := r.Masked().Addr()
			return p.Addr() == first || p.Addr() == first.Next()
		})
	})
}

// cachedDNS reports whether p is the DNS Service's address, and a cache on the nodes may listen on it: then pods' queries go
// there, and no plugin translates them.
func cachedDNS(r *cluster.Resolver, p netip.Prefix) bool {
	return p.IsSingleIP() && len(r.Local) > 0 && slices.Contains(r.ServiceAddresses, p.Addr())
}
