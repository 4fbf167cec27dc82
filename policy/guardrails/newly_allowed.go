package guardrails

import (
	"net/netip"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// newlyAllowed gives what of the addresses and ports no rule of the subject's policies allowed in direction d before the
// change. It lowers budget by the ranges that it compares; once that is used up nothing is left, because what is not known
// is no violation.
func newlyAllowed(want allowance, d netpol.Direction, s *policy.Subject, budget *int) []allowance {
	if len(want.addresses) == 0 || want.ports.Empty() {
		return nil
	}
	opened := []allowance{want}
	for _, p := range s.Before.Policies {
		for _, before := range ranges(p, d) {
			var held []netip.Prefix
			for _, within := range want.addresses {
				held = append(held, before.addresses(within)...)
			}
			if *budget -= len(want.addresses) * (1 + len(held)); *budget < 0 {
				return nil
			}
			if len(held) == 0 {
				continue
			}
			allowed := allowance{held, portsOf(before.at(), d, s.Before.Endpoint.Ports)}
			var left []allowance
			for _, o := range opened {
				left = append(left, o.minus(allowed)...)
			}
			if opened = left; len(opened) == 0 {
				return nil
			}
		}
	}
	return opened
}
