package guardrails

import (
	"net/netip"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// newlyAllowed gives what of the addresses and ports no rule of the subject's policies allowed in direction d before the
// change. Once the budget is used up nothing is left, because what is not known is no violation.
func (x *exposures) newlyAllowed(want allowance, d netpol.Direction, s *policy.Subject) []allowance {
	if len(want.addresses) == 0 || want.ports.Empty() {
		return nil
	}
	opened := []allowance{want}
	for _, p := range s.Before.Policies {
		for _, before := range x.rangesOf(p, d) {
			if x.budget -= len(want.addresses); x.budget < 0 {
				return nil
			}
			var held []netip.Prefix
			for _, within := range want.addresses {
				held = before.appendAddresses(held, within)
			}
			if len(held) == 0 {
				continue
			}
			x.budget -= len(want.addresses) * len(held)
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

// rangesOf is ranges, remembered.
func (x *exposures) rangesOf(p *netpol.Policy, d netpol.Direction) []spot {
	if x.ranges[d] == nil {
		x.ranges[d] = map[*netpol.Policy][]spot{}
	}
	out, ok := x.ranges[d][p]
	if !ok {
		out = ranges(p, d)
		x.ranges[d][p] = out
	}
	return out
}
