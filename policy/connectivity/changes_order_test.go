package connectivity_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// TestChangesWithLimit: what a limit leaves of the pairs of workloads is a prefix of them all, and the extent does not
// claim more than was done.
func TestChangesWithLimit(t *testing.T) {
	var cutShort atomic.Int64
	forAll(t, worlds/2, func(d draw, w *world) string {
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
		return ""
	})
}
