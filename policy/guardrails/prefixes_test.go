package guardrails

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// seedVariable is the environment variable that repeats a run of the property tests.
const seedVariable = "BULKHEAD_SEED"

// seeded gives the randomness of a property test and says on failure how to have it again.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v: set a number", seedVariable, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with %s=%d", seedVariable, seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// roots are the small worlds of addresses that the tests draw from: 8 addresses of either family.
var roots = [...]netip.Prefix{netip.MustParsePrefix("10.0.0.8/29"), netip.MustParsePrefix("fd00::8/125")}

// addresses lists all of them.
func addresses() []netip.Addr {
	var out []netip.Addr
	for _, root := range roots {
		for a := root.Addr(); root.Contains(a); a = a.Next() {
			out = append(out, a)
		}
	}
	return out
}

// randomPrefix draws a prefix of one of the roots, or one that holds a root.
func randomPrefix(r *rand.Rand) netip.Prefix {
	root := roots[r.IntN(len(roots))]
	bits := root.Bits() - 1 + r.IntN(root.Addr().BitLen()-root.Bits()+2)
	all := addresses()
	for {
		if a := all[r.IntN(len(all))]; root.Contains(a) {
			return netip.PrefixFrom(a, bits).Masked()
		}
	}
}

func randomBlock(r *rand.Rand) *netpol.IPBlock {
	b := &netpol.IPBlock{CIDR: randomPrefix(r)}
	for range r.IntN(3) {
		if x := randomPrefix(r); x.Bits() > b.CIDR.Bits() && b.CIDR.Contains(x.Addr()) {
			b.Except = append(b.Except, x)
		}
	}
	return b
}

func contains(set []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(set, func(p netip.Prefix) bool { return p.Contains(a) })
}

// TestSetsOfAddresses compares the arithmetic with a look at each single address.
func TestSetsOfAddresses(t *testing.T) {
	r := seeded(t)
	for range 5_000 {
		b, within := randomBlock(r), randomPrefix(r)
		got := held(b, within)
		for i, p := range got {
			if slices.ContainsFunc(got[:i], p.Overlaps) {
				t.Fatalf("held(%v, %s) gives %s, of which some overlap", b, within, got)
			}
		}
		other := held(randomBlock(r), randomPrefix(r))
		union, minus := shortest(got, other), withoutAll(got, other)
		for _, a := range addresses() {
			if want := b.Contains(a) && within.Contains(a); contains(got, a) != want {
				t.Fatalf("held(%v, %s) gives %s; that %s is in it should be %v", b, within, got, a, want)
			}
			if want := contains(got, a) || contains(other, a); contains(union, a) != want {
				t.Fatalf("shortest(%s, %s) gives %s; that %s is in it should be %v", got, other, union, a, want)
			}
			if want := contains(got, a) && !contains(other, a); contains(minus, a) != want {
				t.Fatalf("%s without %s gives %s; that %s is in it should be %v", got, other, minus, a, want)
			}
		}
		if again := shortest(minus, union, got); !slices.Equal(again, union) {
			t.Fatalf("the same addresses are written %s and %s", union, again)
		}
	}
}

func TestShortest(t *testing.T) {
	prefixes := func(s ...string) (out []netip.Prefix) {
		for _, p := range s {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, test := range []struct{ in, want []netip.Prefix }{
		{prefixes("10.0.0.0/9", "10.128.0.0/9"), prefixes("10.0.0.0/8")},
		{prefixes("10.192.0.0/10", "10.0.0.0/9", "10.128.0.0/10"), prefixes("10.0.0.0/8")},
		{prefixes("10.128.0.0/9", "11.0.0.0/9"), prefixes("10.128.0.0/9", "11.0.0.0/9")},
		{prefixes("10.1.0.0/16", "172.16.0.0/12", "10.0.0.0/8"), prefixes("10.0.0.0/8", "172.16.0.0/12")},
		{prefixes("10.0.0.1/32", "fd00::/127", "192.0.2.0/24"), prefixes("192.0.2.0/24", "fd00::/127", "10.0.0.1/32")},
		{prefixes("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"), prefixes("::/0", "0.0.0.0/0")},
		{nil, nil},
	} {
		if got := shortest(test.in); !slices.Equal(got, test.want) {
			t.Errorf("shortest(%s) = %s, want %s", test.in, got, test.want)
		}
	}
}
