package connectivity

import (
	"math"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Reach is what a workload allows with addresses outside the cluster.
type Reach struct {
	Range Range
	Ports Ports
}

// families are all addresses, one range for each IP family.
var families = [...]Range{
	{netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255")},
	{netip.MustParseAddr("::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")},
}

// noLimit is for work that nobody waits for.
const noLimit = math.MaxInt

// outside gives what the near side allows with addresses outside the cluster, sorted, where something is allowed. No
// two neighbours allow the same. ok is false where that is more work than limit, see near.sweep.
func (n *near) outside(limit int) (out []Reach, ok bool) {
	var policies []Reach
	if n.governed && n.isolated {
		if policies, ok = n.sweep(limit); !ok {
			return nil, false
		}
	} else {
		policies = []Reach{{families[0], allPorts}, {families[1], allPorts}}
	}
	if len(n.tiers[0])+len(n.tiers[1]) == 0 {
		return policies, true
	}
	for _, r := range splitAt(boundaries(policies, n.tierBlocks())) {
		peer := netpol.Endpoint{Addresses: []netip.Addr{r.sample()}}
		if ports := n.between(peer, reachAt(policies, r.sample())); !ports.Empty() {
			out = appendReach(out, Reach{r, ports})
		}
	}
	return out, true
}

// sample gives an address that stands for all of a range which no policy splits. IPv4-mapped IPv6 addresses count as
// IPv4, so the one with which a range of IPv6 may begin does not stand for the rest of it.
func (r Range) sample() netip.Addr {
	if r.First.Is4In6() {
		return r.Last
	}
	return r.First
}

// appendReach appends r, joined with the last one where they touch and are alike.
func appendReach(to []Reach, r Reach) []Reach {
	if n := len(to); n > 0 && to[n-1].Range.Last.Next() == r.Range.First && to[n-1].Ports.Equal(r.Ports) {
		to[n-1].Range.Last = r.Range.Last
		return to
	}
	return append(to, r)
}

// tierBlocks gives the address ranges by which the tiers' policies tell addresses apart.
func (n *near) tierBlocks() []netip.Prefix {
	var out []netip.Prefix
	for _, tier := range n.tiers {
		for _, p := range tier {
			for i := range p.Rules[n.d] {
				for _, peer := range p.Rules[n.d][i].Peers {
					if peer.Block != nil {
						out = append(out, peer.Block.CIDR)
					}
				}
			}
		}
	}
	return out
}

// boundaries gives the addresses at which one of the ranges or prefixes begins, and those right after their ends.
func boundaries(reach []Reach, prefixes []netip.Prefix) []netip.Addr {
	var out []netip.Addr
	add := func(first, last netip.Addr) {
		out = append(out, first)
		if next := last.Next(); next.IsValid() {
			out = append(out, next)
		}
	}
	for _, r := range reach {
		add(r.Range.First, r.Range.Last)
	}
	for _, p := range prefixes {
		r := netipx.RangeOfPrefix(p)
		add(r.From(), r.To())
	}
	return out
}

// splitAt cuts both families at the addresses.
func splitAt(starts []netip.Addr) []Range {
	starts = append(starts, families[0].First, families[1].First)
	slices.SortFunc(starts, netip.Addr.Compare) // IPv4 first
	starts = slices.Compact(starts)
	out := make([]Range, 0, len(starts))
	for i, first := range starts {
		last := families[1].Last
		if first.Is4() {
			last = families[0].Last
		}
		if i+1 < len(starts) && starts[i+1].Is4() == first.Is4() {
			last = starts[i+1].Prev()
		}
		out = append(out, Range{first, last})
	}
	return out
}

// minusReach gives what a allows and b does not.
func minusReach(a, b []Reach) []Reach {
	var out []Reach
	for _, piece := range pieces(a, b) {
		if ports := reachAt(a, piece.First).Minus(reachAt(b, piece.First)); !ports.Empty() {
			out = appendReach(out, Reach{piece, ports})
		}
	}
	return out
}

// unionReach gives what either allows.
func unionReach(a, b []Reach) []Reach {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	var out []Reach
	for _, piece := range pieces(a, b) {
		if ports := reachAt(a, piece.First).Union(reachAt(b, piece.First)); !ports.Empty() {
			out = appendReach(out, Reach{piece, ports})
		}
	}
	return out
}

// pieces cuts the ranges of both where one of either begins or ends.
func pieces(a, b []Reach) []Range { return splitAt(append(boundaries(a, nil), boundaries(b, nil)...)) }

// reachAt gives what is allowed with one address.
func reachAt(sorted []Reach, a netip.Addr) Ports {
	i, found := slices.BinarySearchFunc(sorted, a, func(r Reach, a netip.Addr) int {
		switch {
		case r.Range.Last.Less(a):
			return -1
		case a.Less(r.Range.First):
			return 1
		}
		return 0
	})
	if !found {
		return Ports{}
	}
	return sorted[i].Ports
}

func (r Reach) equal(other Reach) bool { return r.Range == other.Range && r.Ports.Equal(other.Ports) }
