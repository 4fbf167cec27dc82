package connectivity_test

import (
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// pairKey names an ordered pair of workloads.
type pairKey struct{ from, to string }

func workloadKey(w *cluster.Workload) string {
	return fmt.Sprintf("%s/%s/%s %v %v %v", w.Namespace, w.Kind, w.Name, w.Labels, w.Ports, w.HostNetwork)
}

// side is one of the two clusters of a change, asked slowly.
type side struct {
	s        *cluster.Snapshot
	policies []*netpol.Policy
}

func newSide(s *cluster.Snapshot) *side {
	out := &side{s: s}
	for n := range s.All() {
		out.policies = append(out.policies, n.Policies...)
	}
	return out
}

func (x *side) connects(from, to netpol.Endpoint, port netpol.Port) bool {
	return x.s.Tiers().Connects(from, to, port, x.policies, x.policies)
}

// member is a workload as it is on both sides.
type member struct{ before, after *cluster.Workload }

func (m member) own(other member) bool {
	return m.after.Namespace == other.after.Namespace && m.after.Kind == other.after.Kind && m.after.Name == other.after.Name
}

// TestChangesAgreeWithOracle: the pairs are exactly those between which some port is cut or opened, each once, whether
// or not the list of touched workloads says that one of them is concerned.
func TestChangesAgreeWithOracle(t *testing.T) {
	var pairs atomic.Int64
	forAll(t, worlds*2/3, func(d draw, w *world) string {
		r := d.request(w, w.snapshot(nil))
		if d.oneIn(3) {
			r.touchAll()
		}
		got, problem := r.run(math.MaxInt)
		if problem == "" {
			problem = r.check(d, w, got)
		}
		if problem != "" {
			return problem + "\n" + r.what
		}
		pairs.Add(int64(len(got.pairs)))
		return ""
	})
	if n := pairs.Load(); n < 100 && !testing.Short() {
		t.Errorf("only %d pairs changed: the random changes are lopsided", n)
	}
}

// result is what Changes gave.
type result struct {
	pairs   []connectivity.Pair
	extent  connectivity.Extent
	between map[pairKey]connectivity.Pair
	beyond  map[int][2][]connectivity.Pair // by touched workload and direction
}

func (r *request) run(limit int) (*result, string) {
	out := &result{between: map[pairKey]connectivity.Pair{}, beyond: map[int][2][]connectivity.Pair{}}
	problem := ""
	out.extent = connectivity.Changes(r.change.Before, r.change.After, r.touched, limit, func(p *connectivity.Pair) {
		out.pairs = append(out.pairs, *p)
		switch {
		case p.Cut.Empty() && p.Opened.Empty():
			problem = "a pair without a change: " + r.formatPair(p)
		case !p.Cut.Intersect(p.Opened).Empty():
			problem = "a port is cut and opened: " + r.formatPair(p)
		case p.Peer == nil:
			lists := out.beyond[p.Touched]
			lists[p.Direction] = append(lists[p.Direction], *p)
			out.beyond[p.Touched] = lists
			return
		}
		key := r.key(p)
		if _, twice := out.between[key]; twice {
			problem = "twice: " + r.formatPair(p)
		}
		out.between[key] = *p
	})
	return out, problem
}

func (r *request) key(p *connectivity.Pair) pairKey {
	from, to := workloadKey(r.touched[p.Touched].After), workloadKey(p.Peer)
	if p.Direction == netpol.Ingress {
		from, to = to, from
	}
	return pairKey{from, to}
}

func (r *request) formatPair(p *connectivity.Pair) string {
	peer := p.Range.String()
	if p.Peer != nil {
		peer = workloadKey(p.Peer)
	}
	touched := workloadKey(r.touched[p.Touched].After)
	return fmt.Sprintf("%d %s %s %s cut %s opened %s", p.Touched, touched, p.Direction, peer, p.Cut, p.Opened)
}

// members lists the live workloads of both sides: a pod that is being relabelled is a workload of its own.
func (r *request) members() []member {
	var out []member
	for n := range r.change.After.All() {
		for _, x := range r.change.After.Live(n) {
			out = append(out, member{x, x})
		}
	}
	return out
}

func (r *request) check(d draw, w *world, got *result) string {
	if !got.extent.Complete() {
		return fmt.Sprintf("without a limit the extent is %+v", got.extent)
	}
	before, after := newSide(r.change.Before), newSide(r.change.After)
	all := r.members()
	from := all
	if r.change.NewWorkload != nil {
		from = []member{{r.change.OldWorkload, r.change.NewWorkload}}
	}
	seen := map[pairKey]bool{}
	for _, x := range from {
		for _, y := range all {
			if x.own(y) {
				continue
			}
			if problem := checkPair(d, got, before, after, x, y, seen); problem != "" {
				return problem
			}
			if problem := checkPair(d, got, before, after, y, x, seen); problem != "" {
				return problem
			}
		}
	}
	for key := range got.between {
		if !seen[key] {
			return fmt.Sprintf("%s -> %s is no pair of two live workloads", key.from, key.to)
		}
	}
	if problem := r.checkCounts(got); problem != "" {
		return problem
	}
	return r.checkBeyond(d, w, got, before, after)
}

func checkPair(d draw, got *result, before, after *side, x, y member, seen map[pairKey]bool) string {
	key := pairKey{workloadKey(x.after), workloadKey(y.after)}
	if seen[key] {
		return ""
	}
	seen[key] = true
	pair := got.between[key]
	for _, port := range d.probes(12) {
		had := before.connects(before.s.Endpoint(x.before), before.s.Endpoint(y.before), port)
		has := after.connects(after.s.Endpoint(x.after), after.s.Endpoint(y.after), port)
		if problem := changed(port, had, has, pair.Cut, pair.Opened); problem != "" {
			return key.from + " -> " + key.to + problem
		}
	}
	return ""
}

func changed(port netpol.Port, had, has bool, cut, opened connectivity.Ports) string {
	if cut.Contains(port) != (had && !has) || opened.Contains(port) != (!had && has) {
		return fmt.Sprintf(" on %v: before %v, after %v, cut %s, opened %s", port, had, has, cut, opened)
	}
	return ""
}

// checkCounts compares what the change itself counts.
func (r *request) checkCounts(got *result) string {
	cut, opened := 0, 0
	for _, p := range got.pairs {
		if !p.Cut.Empty() {
			cut++
		}
		if !p.Opened.Empty() {
			opened++
		}
	}
	if diff := r.change.Difference(); diff.Cut != cut || diff.Opened != opened {
		return fmt.Sprintf("the change counts %d cut and %d opened, want %d and %d", diff.Cut, diff.Opened, cut, opened)
	}
	return ""
}

func (r *request) checkBeyond(d draw, w *world, got *result, before, after *side) string {
	both := w.clone()
	if r.change.Object != nil {
		both.policies = append(both.policies, r.change.Object)
	}
	for i := range r.touched {
		t := &r.touched[i]
		was, is := before.s.Endpoint(t.Before), after.s.Endpoint(t.After)
		for _, a := range both.probeAddresses() {
			outside := netpol.Endpoint{Addresses: []netip.Addr{a}}
			for _, port := range d.probes(12) {
				for _, dir := range netpol.Directions {
					had, has := before.connects(was, outside, port), after.connects(is, outside, port)
					if dir == netpol.Ingress {
						had, has = before.connects(outside, was, port), after.connects(outside, is, port)
					}
					cut, opened := with(got.beyond[i][dir], a)
					if problem := changed(port, had, has, cut, opened); problem != "" {
						return fmt.Sprintf("%s and %s in %s%s", workloadKey(t.After), a, dir, problem)
					}
				}
			}
		}
	}
	return ""
}

// with joins what the pairs say about one address.
func with(pairs []connectivity.Pair, a netip.Addr) (cut, opened connectivity.Ports) {
	for _, p := range pairs {
		if holds(p.Range, a) {
			cut, opened = cut.Union(p.Cut), opened.Union(p.Opened)
		}
	}
	return cut, opened
}
