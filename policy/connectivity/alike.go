package connectivity

import (
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// maxSweep bounds the work on addresses outside the cluster for one workload: some ten milliseconds.
const maxSweep = 200_000

// alike is what touched workloads have in common for which the same rules decide on both sides.
type alike struct {
	before, after *near // of the first of them
	seen          bool
	suspects      []*spacePair
	compared      bool // the addresses outside the cluster
	known         bool // and that was not too much work
	cut, opened   []Reach
}

// maxAlike bounds how many kinds of touched workloads are remembered. Policies make few kinds, and they come in turn.
const maxAlike = 8

// likeOf gives what is remembered of a workload like this one.
func (r *changes) likeOf(b, a *near, seen bool) *alike {
	for _, x := range r.alike {
		if x.seen == seen && x.before.d == b.d && x.before.e.Namespace == b.e.Namespace && x.after.e.Namespace == a.e.Namespace &&
			x.before.sameRules(b) && x.after.sameRules(a) {
			return x
		}
	}
	x := &alike{before: b, after: a, seen: seen, suspects: r.suspects(b, a, seen)}
	if len(r.alike) == maxAlike {
		r.alike = r.alike[1:]
	}
	r.alike = append(r.alike, x)
	return x
}

// compareOutside compares the connections with addresses outside the cluster.
func (r *changes) compareOutside(i int, d netpol.Direction, x *alike) {
	if !x.compared {
		was, ok := x.before.outside(maxSweep)
		is, ok2 := x.after.outside(maxSweep)
		if x.compared, x.known = true, ok && ok2; x.known {
			x.cut, x.opened = minusReach(was, is), minusReach(is, was)
		}
	}
	if !x.known {
		r.missed++
		return
	}
	for _, reach := range x.cut {
		r.visit(&Pair{Touched: i, Direction: d, Range: reach.Range, Cut: reach.Ports})
	}
	for _, reach := range x.opened {
		r.visit(&Pair{Touched: i, Direction: d, Range: reach.Range, Opened: reach.Ports})
	}
}
