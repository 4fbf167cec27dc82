package render

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// seedVariable is the environment variable that repeats a random test.
const seedVariable = "BULKHEAD_SEED"

func newRandom(t *testing.T) *rand.Rand {
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

func TestAddressesInWords(t *testing.T) {
	v4, v6 := wholeSpace[0], wholeSpace[1]
	last := v6.Last.String()
	for _, tt := range []struct {
		ranges addresses
		want   string
	}{
		{addresses{v4}, "any IPv4 address"},
		{addresses{v6}, "any IPv6 address"},
		{addresses{v4, v6}, "any address"},
		{addresses{span("10.0.0.0", "10.255.255.255")}, "10.0.0.0/8"},
		{addresses{span("0.0.0.0", "127.255.255.255")}, "0.0.0.0/1"},
		{addresses{span("192.0.2.1", "192.0.2.1")}, "192.0.2.1"},
		{addresses{span("192.0.2.1", "192.0.2.2")}, "192.0.2.1-192.0.2.2"},
		{addresses{span("192.0.2.0", "192.0.2.2")}, "192.0.2.0-192.0.2.2"},
		{addresses{span("2001:db8::", "2001:db8::ffff")}, "2001:db8::/112"},
		{addresses{span("0.0.0.0", "169.254.169.253"), span("169.254.169.255", "255.255.255.255")},
			"any IPv4 address except 169.254.169.254"},
		{addresses{span("0.0.0.0", "9.255.255.255"), span("11.0.0.0", "255.255.255.255"), v6},
			"any address except 10.0.0.0/8"},
		{addresses{span("0.0.0.0", "9.255.255.255"), span("11.0.0.0", "255.255.255.255"), span("::", "::5"), span("::7", last)},
			"any address except 10.0.0.0/8, ::6"},
		{addresses{span("10.0.0.0", "10.255.255.255"), v6}, "10.0.0.0/8, any IPv6 address"},
		{addresses{span("10.0.0.0", "10.255.255.255"), span("192.168.0.0", "192.168.255.255")}, "10.0.0.0/8, 192.168.0.0/16"},
	} {
		if got := tt.ranges.String(); got != tt.want {
			t.Errorf("%v: %q, want %q", []connectivity.Range(tt.ranges), got, tt.want)
		}
	}
}

// Joining ranges must neither lose an address nor a port: what is joined is compared address by address.
func TestLinksHoldWhatTheEdgesHold(t *testing.T) {
	d := newRandom(t)
	for range 300 {
		s := randomSample(d)
		g := s.graph()
		want, got := map[string]string{}, map[string]string{}
		for e := range g.Edges {
			spread(want, end{e.From.Node, addresses{e.From.Range}}, end{e.To.Node, addresses{e.To.Range}}, e.Ports)
		}
		for l := range links(g.Edges) {
			spread(got, l.from, l.to, l.ports)
		}
		if len(got) != len(want) {
			t.Fatalf("%d single connections, want %d", len(got), len(want))
		}
		for pair, ports := range want {
			if got[pair] != ports {
				t.Fatalf("%s: %s, want %s", pair, got[pair], ports)
			}
		}
	}
}

// randomSample has few nodes, and few addresses in ranges of random lengths.
func randomSample(d *rand.Rand) *sample {
	s := &sample{}
	for i := range 2 + d.IntN(12) {
		isolated := [...]string{"", "i", "e", "ie"}[d.IntN(4)]
		s.node(fmt.Sprintf("ns%d/w%d", i%3, i), "Deployment", 1, isolated)
	}
	for first := 0; first < 16; {
		last := first + d.IntN(4)
		s.ranges = append(s.ranges, span(fmt.Sprintf("192.0.2.%d", first), fmt.Sprintf("192.0.2.%d", last)))
		first = last + 1 + d.IntN(2)
	}
	patterns := []string{"*/*", "ns0/*", "ns1/*", "*/w1", "*-*", "192.0.2.[0-4]-*", "ns2/w2"}
	for range d.IntN(6) {
		s.allow(patterns[d.IntN(len(patterns))], patterns[d.IntN(len(patterns))], tcp(uint16(80+d.IntN(2))))
	}
	return s
}

// spread writes down each single address of a link.
func spread(into map[string]string, from, to end, ports connectivity.Ports) {
	for _, a := range single(from) {
		for _, b := range single(to) {
			into[a+" "+b] += ports.String()
		}
	}
}

func single(e end) []string {
	if e.node != nil {
		return []string{e.node.String()}
	}
	var out []string
	for _, r := range e.addresses {
		for a := r.First; a.Compare(r.Last) <= 0; a = a.Next() {
			out = append(out, a.String())
		}
	}
	return out
}

func TestRangeTextOfEveryPrefix(t *testing.T) {
	for bits := range 33 {
		p := netip.PrefixFrom(netip.MustParseAddr("203.0.113.77"), bits).Masked()
		want := p.String()
		if bits == 32 {
			want = "203.0.113.77"
		}
		if got := rangeText(connectivity.Range{First: p.Addr(), Last: lastOf(p)}); got != want {
			t.Errorf("/%d: %q, want %q", bits, got, want)
		}
	}
}
