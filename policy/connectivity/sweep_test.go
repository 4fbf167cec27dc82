package connectivity_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// blockPolicy selects every pod of shop and has a rule for each block.
func blockPolicy(t *testing.T, blocks int, block func(i int) string) *netpol.Policy {
	t.Helper()
	var b strings.Builder
	b.WriteString("kind: NetworkPolicy\nmetadata: {namespace: shop, name: blocks}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n")
	for i := range blocks {
		fmt.Fprintf(&b, "  - {to: [{ipBlock: %s}], ports: [{port: %d}]}\n", block(i), i+1)
	}
	s := snapshotOf(t, b.String())
	return s.Policy("shop", "blocks")
}

// TestSweep holds the sweep against asking every rule about one address, on ranges that overlap, touch and nest.
func TestSweep(t *testing.T) {
	const pod = "{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}"
	p := blockPolicy(t, 40, func(i int) string {
		if i%4 == 3 {
			return fmt.Sprintf("{cidr: fd00:%x::/32}", i/8)
		}
		return fmt.Sprintf("{cidr: 10.%d.0.0/16, except: [10.%d.%d.0/24]}", i%3, i%3, i)
	})
	s := snapshotOf(t, pod).WithPolicy(p)
	edges := beyond(edgesOf(s, connectivity.Options{}))
	egress := s.Policies("shop")
	from := s.Endpoint(s.Live(s.Namespace("shop"))[0])
	for _, a := range []string{"9.255.255.255", "10.0.0.0", "10.0.3.1", "10.0.255.255", "10.1.0.0", "10.1.13.255", "10.2.38.1", "10.3.0.0", "fd00:0:ffff::1", "fd00:1::", "fd00:5::"} {
		address := netip.MustParseAddr(a)
		for port := range uint16(42) {
			asked := netpol.Port{Protocol: "TCP", Number: port + 1}
			want := netpol.Connects(from, netpol.Endpoint{Addresses: []netip.Addr{address}}, asked, egress, nil)
			got := false
			for _, e := range edges {
				got = got || e.From.Node != nil && !address.Less(e.To.Range.First) && !e.To.Range.Last.Less(address) && e.Ports.Contains(asked)
			}
			if got != want {
				t.Errorf("%s TCP %d: %v, want %v", a, port+1, got, want)
			}
		}
	}
}

// TestSweepIsBounded: rules that all overlap everywhere are more than one change may cost, and the extent says so.
func TestSweepIsBounded(t *testing.T) {
	const pod = "{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}"
	before := snapshotOf(t, pod)
	w := before.Live(before.Namespace("shop"))[0]
	touched := []connectivity.Touched{{Before: w, After: w, Directions: [2]bool{netpol.Egress: true}}}
	for _, tt := range []struct {
		blocks   int
		complete bool
	}{{50, true}, {700, false}} {
		p := blockPolicy(t, tt.blocks, func(i int) string {
			return fmt.Sprintf("{cidr: 0.0.0.0/0, except: [10.%d.%d.0/24]}", i/250, i%250)
		})
		pairs := 0
		extent := connectivity.Changes(before, before.WithPolicy(p), touched, 1000, func(*connectivity.Pair) { pairs++ })
		if extent.Complete() != tt.complete || (pairs > 0) != tt.complete {
			t.Errorf("%d blocks: %+v with %d pairs", tt.blocks, extent, pairs)
		}
	}
}
