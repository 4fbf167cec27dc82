package guardrails

import (
	"net/netip"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestNewlyAllowed compares what is said to be newly allowed by random rules with a look at each single address and port.
func TestNewlyAllowed(t *testing.T) {
	r := seeded(t)
	some, none := 0, 0
	for range 4_000 {
		new, before := randomPolicy(r, "new"), []*netpol.Policy{randomPolicy(r, "old"), randomPolicy(r, "other")}
		s := &policy.Subject{Before: policy.Coverage{Endpoint: netpol.Endpoint{Namespace: "shop", Ports: serverPorts}, Policies: before}}
		for _, d := range netpol.Directions {
			for _, at := range ranges(new, d) {
				within := roots[r.IntN(len(roots))]
				x := &exposures{budget: maxRangePairs}
				got := x.newlyAllowed(allowance{at.addresses(within), portsOf(at.at(), d, serverPorts)}, d, s)
				if len(got) > 0 {
					some++
				} else {
					none++
				}
				for _, a := range addresses() {
					for _, port := range probePorts {
						want := within.Contains(a) && admits(&at, a, port)
						for _, p := range before {
							for _, o := range ranges(p, d) {
								want = want && !admits(&o, a, port)
							}
						}
						found := false
						for _, g := range got {
							found = found || contains(g.addresses, a) && g.ports.Contains(port)
						}
						if found != want {
							t.Fatalf("%s, %s: %v over %v newly allowed: got %v, want %v\nnew %+v\nold %+v", d, &at, a, port, found, want, new, before)
						}
					}
				}
			}
		}
	}
	if some < 500 || none < 500 {
		t.Errorf("%d spots opened something and %d nothing: the policies are too random to tell anything", some, none)
	}
}

// TestNewlyAllowedGivesUp: what would take too many comparisons is no violation.
func TestNewlyAllowedGivesUp(t *testing.T) {
	block := func(cidr string) netpol.Rule {
		return netpol.Rule{Peers: []netpol.Peer{{Block: &netpol.IPBlock{CIDR: netip.MustParsePrefix(cidr)}}}}
	}
	old := &netpol.Policy{Isolates: [2]bool{true, true}, Rules: [2][]netpol.Rule{nil, {block("10.0.0.0/24"), block("10.1.0.0/24")}}}
	s := &policy.Subject{Before: policy.Coverage{Policies: []*netpol.Policy{old}}}
	want := allowance{[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, portsOf(&netpol.Rule{}, netpol.Egress, nil)}
	for _, test := range []struct {
		budget int
		opened bool
	}{{2, false}, {200, true}} {
		x := &exposures{budget: test.budget}
		if got := x.newlyAllowed(want, netpol.Egress, s); (len(got) > 0) != test.opened {
			t.Errorf("with a budget of %d: %v", test.budget, got)
		}
	}
}
