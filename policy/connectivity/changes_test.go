package connectivity_test

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// request is a change and the workloads that it touches.
type request struct {
	what    string
	change  *policy.Change
	touched []connectivity.Touched
}

// request draws a change of the cluster that s shows.
func (d draw) request(w *world, s *cluster.Snapshot) *request {
	switch d.IntN(6) {
	case 0, 1:
		return d.policyRequest(s, nil, d.policy(pick(d, w.names...), "policy0"))
	case 2:
		if len(w.policies) > 0 {
			old := pick(d, w.policies...)
			return d.policyRequest(s, old, d.policy(old.Namespace, old.Name))
		}
	case 3:
		if len(w.policies) > 0 {
			return d.policyRequest(s, pick(d, w.policies...), nil)
		}
	case 4:
		return d.relabelled(w, s)
	}
	name := pick(d, w.names...)
	old, new := namespaceObject(name, w.namespaces[name]), namespaceObject(name, d.labels())
	r := &request{what: fmt.Sprintf("namespace %s becomes %v", name, new.Labels), change: policy.NamespaceChange(s, old, new)}
	for _, x := range r.change.After.Live(r.change.After.Namespace(name)) {
		r.touched = append(r.touched, connectivity.Touched{Before: x, After: x, Directions: [2]bool{true, true}})
	}
	return r
}

// policyRequest creates, updates or deletes a policy.
func (d draw) policyRequest(s *cluster.Snapshot, old, new *networkingv1.NetworkPolicy) *request {
	change, err := policy.PolicyChange(s, old, new)
	if err != nil {
		panic(fmt.Sprintf("the random policies are valid: %v", err))
	}
	r := &request{what: "old policy\n" + printYAML(old) + "new policy\n" + printYAML(new), change: change}
	for _, x := range change.LiveSubjects() {
		t := connectivity.Touched{Before: x.Workload, After: x.Workload}
		for _, dir := range netpol.Directions {
			for _, p := range []*netpol.Policy{change.OldPolicy, change.NewPolicy} {
				t.Directions[dir] = t.Directions[dir] || p != nil && p.Isolates[dir] && p.Selects(x.After.Endpoint)
			}
		}
		r.touched = append(r.touched, t)
	}
	return r
}

// relabelled changes the labels of one pod, and sometimes its ports or whether it uses the host's network, which a new
// pod of the same name would.
func (d draw) relabelled(w *world, s *cluster.Snapshot) *request {
	old := *pick(d, w.pods...)
	old.finished = false
	new := old
	new.labels = labels.Merge(d.labels(), labels.Set{"tier": pick(d, "a", "b")})
	if d.oneIn(3) {
		new.ports = d.ports()
	}
	if d.oneIn(6) {
		new.host = !new.host
	}
	a, b := cluster.WorkloadOf(old.object()), cluster.WorkloadOf(new.object())
	b.Kind, b.Name = a.Kind, a.Name // the owner does not change with the pod-template-hash
	return &request{
		what:    fmt.Sprintf("pod %+v becomes %+v", old, new),
		change:  policy.WorkloadChange(s, "Pod", old.name, a, b),
		touched: []connectivity.Touched{{Before: a, After: b, Directions: [2]bool{true, true}}},
	}
}

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
	forAll(t, worlds, func(d draw, w *world) string {
		r := d.request(w, w.snapshot(nil))
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
	return fmt.Sprintf("%d %s %s %s cut %s opened %s", p.Touched, workloadKey(r.touched[p.Touched].After), p.Direction, peer, p.Cut, p.Opened)
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
			for _, port := range d.probes(3) {
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

// TestChangesWithLimit: what a limit leaves of the pairs of workloads is a prefix of them all, and the extent does not
// claim more than was done.
func TestChangesWithLimit(t *testing.T) {
	var cutShort atomic.Int64
	forAll(t, worlds, func(d draw, w *world) string {
		r := d.request(w, w.snapshot(nil))
		full, _ := r.run(math.MaxInt)
		limit := 1 + d.IntN(20)
		got, _ := r.run(limit)
		all, some := r.formatBetween(full), r.formatBetween(got)
		switch {
		case len(some) > len(all) || !slices.Equal(some, all[:len(some)]):
			return fmt.Sprintf("with limit %d\n%s\nis no prefix of\n%s", limit, strings.Join(some, "\n"), strings.Join(all, "\n"))
		case got.extent.Total != full.extent.Total || got.extent.Compared > got.extent.Total:
			return fmt.Sprintf("with limit %d the extent is %+v, of everything it is %+v", limit, got.extent, full.extent)
		case got.extent.Complete() && !slices.Equal(r.formatBeyond(got), r.formatBeyond(full)):
			return fmt.Sprintf("with limit %d the extent is complete, %d of %d pairs came", limit, len(got.pairs), len(full.pairs))
		case got.extent.Complete() && len(some) != len(all):
			return fmt.Sprintf("with limit %d the extent is complete, %d of %d pairs of workloads came", limit, len(some), len(all))
		case len(some) > limit:
			return fmt.Sprintf("with limit %d %d pairs of workloads came", limit, len(some))
		}
		if len(some) < len(all) {
			cutShort.Add(1)
		}
		return ""
	})
	if cutShort.Load() == 0 && !testing.Short() {
		t.Error("no limit was ever reached: the test proves nothing")
	}
}

// formatBetween gives the pairs of two workloads.
func (r *request) formatBetween(x *result) []string {
	return r.formatPairs(slices.DeleteFunc(slices.Clone(x.pairs), func(p connectivity.Pair) bool { return p.Peer == nil }))
}

// formatBeyond gives the pairs of a workload and addresses.
func (r *request) formatBeyond(x *result) []string {
	return r.formatPairs(slices.DeleteFunc(slices.Clone(x.pairs), func(p connectivity.Pair) bool { return p.Peer != nil }))
}

func (r *request) formatPairs(pairs []connectivity.Pair) []string {
	out := make([]string, 0, len(pairs))
	for i := range pairs {
		out = append(out, r.formatPair(&pairs[i]))
	}
	return out
}

// TestChangesInOrder: pairs come by touched workload, direction, and peers as the snapshot sorts them before addresses.
func TestChangesInOrder(t *testing.T) {
	forAll(t, worlds/3, func(d draw, w *world) string {
		r := d.request(w, w.snapshot(nil))
		rank := map[string]int{}
		for n := range r.change.After.All() {
			for _, x := range r.change.After.Live(n) {
				rank[workloadKey(x)] = len(rank)
			}
		}
		got, _ := r.run(math.MaxInt)
		place := func(p connectivity.Pair) []int {
			if p.Peer != nil {
				return []int{p.Touched, int(p.Direction), rank[workloadKey(p.Peer)]}
			}
			if p.Opened.Empty() {
				return []int{p.Touched, int(p.Direction), len(rank)}
			}
			return []int{p.Touched, int(p.Direction), len(rank) + 1}
		}
		for i := 1; i < len(got.pairs); i++ {
			if slices.Compare(place(got.pairs[i-1]), place(got.pairs[i])) > 0 {
				return fmt.Sprintf("%s comes before %s", r.formatPair(&got.pairs[i-1]), r.formatPair(&got.pairs[i]))
			}
		}
		if len(rank) != len(slices.Collect(maps.Keys(rank))) {
			return "two workloads have one name"
		}
		return ""
	})
}
