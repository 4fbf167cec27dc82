package guardrails

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Sets of addresses are lists of prefixes of which none overlaps another. Prefixes never overlap in part: one holds the
// other or they are apart. Those of different IP families are apart.

// common gives the addresses that both prefixes hold.
func common(a, b netip.Prefix) (both netip.Prefix, ok bool) {
	switch {
	case holdsPrefix(a, b):
		return b, true
	case holdsPrefix(b, a):
		return a, true
	}
	return netip.Prefix{}, false
}

// overlap reports whether the prefixes have an address in common. It is what netip.Prefix.Overlaps does, without masking
// either: most of what is compared is apart.
func overlap(a, b netip.Prefix) bool {
	if a.Bits() <= b.Bits() {
		return a.Contains(b.Addr())
	}
	return b.Contains(a.Addr())
}

// without gives the addresses of the set that are not in x.
func without(set []netip.Prefix, x netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range set {
		if !overlap(p, x) {
			out = append(out, p)
			continue
		}
		for p.Bits() < x.Bits() {
			low, high := halves(p)
			if holdsPrefix(low, x) {
				low, high = high, low
			}
			out, p = append(out, low), high
		}
	}
	return out
}

func withoutAll(set, xs []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range set {
		left := [1]netip.Prefix{p}
		pieces := left[:]
		for _, x := range xs {
			if !overlap(x, p) { // few do, and lists that stay as they are cost nothing
				continue
			}
			if pieces = without(pieces, x); len(pieces) == 0 {
				break
			}
		}
		out = append(out, pieces...)
	}
	return out
}

// halves cuts a prefix of more than one address in two.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits()
	upper := p.Masked().Addr().AsSlice()
	upper[bits/8] |= 0x80 >> (bits % 8)
	a, _ := netip.AddrFromSlice(upper) // as long as it was
	return netip.PrefixFrom(p.Masked().Addr(), bits+1), netip.PrefixFrom(a, bits+1)
}

// held gives the addresses of within that the block allows.
func held(b *netpol.IPBlock, within netip.Prefix) []netip.Prefix { return appendHeld(nil, b, within) }

func appendHeld(to []netip.Prefix, b *netpol.IPBlock, within netip.Prefix) []netip.Prefix {
	both, ok := common(b.CIDR, within)
	switch {
	case !ok:
		return to
	case !slices.ContainsFunc(b.Except, func(x netip.Prefix) bool { return overlap(x, both) }):
		return append(to, both)
	}
	return append(to, withoutAll([]netip.Prefix{both}, b.Except)...)
}

// shortest writes the union of the sets with as few prefixes as can be, the largest first.
func shortest(sets ...[]netip.Prefix) []netip.Prefix {
	all := slices.Concat(sets...)
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var out []netip.Prefix
	for _, p := range all {
		if n := len(out); n > 0 && holdsPrefix(out[n-1], p) {
			continue
		}
		out = append(out, p)
		for n := len(out); n > 1; n = len(out) {
			whole, ok := joined(out[n-2], out[n-1])
			if !ok {
				break
			}
			out = append(out[:n-2], whole)
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Prefix) int { return size(b) - size(a) })
	return out
}

// joined gives the prefix of which low and high are the halves.
func joined(low, high netip.Prefix) (whole netip.Prefix, ok bool) {
	if low.Bits() != high.Bits() || low.Bits() == 0 {
		return netip.Prefix{}, false
	}
	whole = netip.PrefixFrom(low.Addr(), low.Bits()-1).Masked()
	a, b := halves(whole)
	return whole, a == low && b == high
}

// size is the number of host bits.
func size(p netip.Prefix) int { return p.Addr().BitLen() - p.Bits() }
