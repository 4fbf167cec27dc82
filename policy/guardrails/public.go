package guardrails

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// internet is all of the address space from which public addresses are given out: IPv4, the global unicast addresses of
// IPv6, and the prefix under which NAT64 reaches IPv4. Sources: RFC 4291 2.5.4, IANA IPv6 Global Unicast Address
// Assignments, RFC 6052 2.1.
var internet = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("2000::/3"), netip.MustParsePrefix("64:ff9b::/96"),
}

// notPublic are the ranges of it that lead to no public address. Those kept for documentation are not among them: there they
// stand for public ones. Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890).
var notPublic = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("224.0.0.0/4"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("2001:2::/48"),
}

// publicSpace is the internet but for the ranges that are approved. It remembers what it has worked out and serves one
// change.
type publicSpace struct {
	approved []netip.Prefix
	parts    map[*netpol.IPBlock][]netip.Prefix
	all      [2][]netip.Prefix // by IP family as internet has them
	known    [2]bool           // whether all is made
}

// part gives the public addresses that the block allows, but for the approved ones. They must not be changed.
func (s *publicSpace) part(b *netpol.IPBlock) []netip.Prefix {
	out, done := s.parts[b]
	if !done {
		if i := slices.Index(internet[:2], b.CIDR); i >= 0 && len(b.Except) == 0 {
			return s.public(i)
		}
		out = publicPart(b, s.approved)
		if s.parts == nil {
			s.parts = map[*netpol.IPBlock][]netip.Prefix{}
		}
		s.parts[b] = out
	}
	return out
}

// public gives the public addresses of one of the IP families as internet has them.
func (s *publicSpace) public(family int) []netip.Prefix {
	if !s.known[family] {
		s.all[family], s.known[family] = publicPart(&netpol.IPBlock{CIDR: internet[family]}, s.approved), true
	}
	return s.all[family]
}

// whole reports whether the set holds all public addresses of the IP family of some of its own.
func (s *publicSpace) whole(set []netip.Prefix) bool {
	for i, all := range internet[:2] { // what is behind NAT64 is IPv4 once more
		if !slices.ContainsFunc(set, func(p netip.Prefix) bool { return p.Addr().Is4() == all.Addr().Is4() }) {
			continue
		}
		if public := s.public(i); len(public) > 0 && !leaves(public, set) {
			return true
		}
	}
	return false
}

// leaves reports whether some address of the set is in none of xs.
func leaves(set, xs []netip.Prefix) bool {
	for i := range set {
		if len(withoutAll(set[i:i+1], xs)) > 0 {
			return true
		}
	}
	return false
}

// publicPart gives the public addresses that the block allows, but for the approved ones.
func publicPart(b *netpol.IPBlock, approved []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, within := range internet {
		out = append(out, held(b, within)...)
	}
	return withoutAll(withoutAll(out, notPublic[:]), approved)
}
