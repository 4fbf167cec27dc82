package render

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

const (
	anyAddress = "any address"
	anyIPv4    = "any IPv4 address"
	anyIPv6    = "any IPv6 address"
)

// families are the two whole address spaces, IPv4 first, as the addresses themselves are ordered.
var families = [...]connectivity.Range{
	{First: netip.IPv4Unspecified(), Last: netip.AddrFrom4([4]byte{255, 255, 255, 255})},
	{First: netip.IPv6Unspecified(), Last: netip.AddrFrom16([16]byte(slices.Repeat([]byte{255}, 16)))},
}

// addresses is a set of addresses outside the cluster: ranges that are sorted, apart and as long as can be.
type addresses []connectivity.Range

// with adds a range that begins after all others.
func (a addresses) with(r connectivity.Range) addresses {
	if n := len(a); n > 0 && a[n-1].Last.Next() == r.First {
		a[n-1].Last = r.Last
		return a
	}
	return append(a, r)
}

// gaps gives what the set lacks of the family.
func (a addresses) gaps(family connectivity.Range) addresses {
	var out addresses
	next := family.First
	for _, r := range a {
		if next.Less(r.First) {
			out = append(out, connectivity.Range{First: next, Last: r.First.Prev()})
		}
		next = r.Last.Next() // invalid after the family's last address
	}
	if next.IsValid() {
		out = append(out, connectivity.Range{First: next, Last: family.Last})
	}
	return out
}

// String writes the set for people: "any address", "any IPv4 address except 10.0.0.0/8", or the prefixes and ranges.
func (a addresses) String() string {
	split := slices.IndexFunc(a, func(r connectivity.Range) bool { return r.First.Is6() })
	if split < 0 {
		split = len(a)
	}
	four, nearlyAll4, except4 := describe(a[:split], families[0], anyIPv4)
	six, nearlyAll6, except6 := describe(a[split:], families[1], anyIPv6)
	switch {
	case split == 0:
		return six
	case split == len(a):
		return four
	case nearlyAll4 && nearlyAll6:
		return anyAddress + exception(append(except4, except6...))
	}
	return four + ", " + six
}

// describe writes the ranges of one family. Where naming what is missing is shorter, nearlyAll is set and missing lists it.
func describe(a addresses, family connectivity.Range, whole string) (text string, nearlyAll bool, missing []string) {
	gaps := a.gaps(family)
	if len(gaps) < len(a) {
		missing = gaps.texts()
		return whole + exception(missing), true, missing
	}
	return strings.Join(a.texts(), ", "), false, nil
}

func exception(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	return " except " + strings.Join(missing, ", ")
}

func (a addresses) texts() []string {
	out := make([]string, 0, len(a))
	for _, r := range a {
		out = append(out, rangeText(r))
	}
	return out
}

func (a addresses) compare(b addresses) int {
	return slices.CompareFunc(a, b, func(x, y connectivity.Range) int {
		return cmp.Or(x.First.Compare(y.First), x.Last.Compare(y.Last))
	})
}

// rangeText writes a range as a prefix where it is one, a single address alone, and both ends otherwise.
func rangeText(r connectivity.Range) string {
	if r.First == r.Last {
		return r.First.String()
	}
	prefix := netip.PrefixFrom(r.First, commonBits(r.First, r.Last))
	if prefix.Masked().Addr() == r.First && lastOf(prefix) == r.Last {
		return prefix.String()
	}
	return r.String()
}

// commonBits counts the leading bits that two addresses of one family share.
func commonBits(a, b netip.Addr) int {
	x, y := a.AsSlice(), b.AsSlice()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return i*8 + bits.LeadingZeros8(d)
		}
	}
	return len(x) * 8
}

// lastOf gives the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	octets := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(octets)*8; bit++ {
		octets[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(octets) // as long as the address it comes from
	return last
}
