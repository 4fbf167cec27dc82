package connectivity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// crowd is a cluster of n pods that all reach each other.
func crowd(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{kind: Pod, metadata: {namespace: shop, name: p%02d, labels: {app: p%02d}}}\n---\n", i, i)
	}
	return b.String()
}

var errEnough = errors.New("that was enough")

// TestConnectionsOfAnEndedContext: wherever the context ends, the edges that came are the first of all, whole sources at
// a time, and Partial says how many.
func TestConnectionsOfAnEndedContext(t *testing.T) {
	const pods = 40
	s := snapshotOf(t, crowd(pods))
	all := formatEdges(edgesOf(s, connectivity.Options{}))
	perSource := pods - 1 + 2 // the others, and both families of addresses
	for _, after := range []int{0, 1, perSource, 9*perSource + 3, pods * perSource} {
		ctx, cancel := context.WithCancelCause(context.Background())
		if after == 0 {
			cancel(errEnough)
		}
		sources := 0
		g := connectivity.Connections(ctx, s, connectivity.Options{Progress: func(done, total int) {
			if sources++; done != sources || total != pods {
				t.Errorf("progress %d of %d, want %d of %d", done, total, sources, pods)
			}
		}})
		var got []string
		for e := range g.Edges {
			if got = append(got, formatEdge(e)); len(got) == after {
				cancel(errEnough)
			}
		}
		cancel(nil)
		if len(got) != sources*perSource || !slices.Equal(got, all[:len(got)]) {
			t.Errorf("cancelled after %d: %d edges of %d sources are no whole prefix of all %d", after, len(got), sources, len(all))
		}
		if len(got) < after {
			t.Errorf("cancelled after %d: only %d came", after, len(got))
		}
		want := fmt.Sprintf("stopped after the first %d of %d sources: that was enough", sources, pods)
		if len(g.Partial) != 1 || g.Partial[0] != want {
			t.Errorf("cancelled after %d: partial %q, want %q", after, g.Partial, want)
		}
	}
}

// TestConnectionsEndAnywhere: however far other goroutines were when the context ended, no source is left out between
// two that came.
func TestConnectionsEndAnywhere(t *testing.T) {
	const pods, times = 90, 60
	s := snapshotOf(t, crowd(pods))
	all := edgesOf(s, connectivity.Options{})
	for i := range times {
		ctx, cancel := context.WithCancel(context.Background())
		g := connectivity.Connections(ctx, s, connectivity.Options{})
		n := 0
		for e := range g.Edges {
			if endKey(e.From) != endKey(all[n].From) || endKey(e.To) != endKey(all[n].To) {
				t.Fatalf("edge %d is %s, want %s", n, formatEdge(e), formatEdge(all[n]))
			}
			if n++; n == 1+i*pods {
				cancel()
			}
		}
		cancel()
		if len(g.Partial) != 1 || n <= i*pods {
			t.Fatalf("%d edges, partial %q", n, g.Partial)
		}
	}
}

// TestConnectionsMayBeRangedOverAgain: a loop that is left early neither hangs nor makes the graph partial, and the next
// one begins anew.
func TestConnectionsMayBeRangedOverAgain(t *testing.T) {
	s := snapshotOf(t, crowd(30))
	want := formatEdges(edgesOf(s, connectivity.Options{}))
	g := connectivity.Connections(context.Background(), s, connectivity.Options{})
	for _, leave := range []int{1, 40, len(want) - 1, len(want)} {
		var got []string
		for e := range g.Edges {
			if got = append(got, formatEdge(e)); len(got) == leave {
				break
			}
		}
		if !slices.Equal(got, want[:leave]) || len(g.Partial) > 0 {
			t.Errorf("left after %d: %d edges, partial %q", leave, len(got), g.Partial)
		}
	}
}

func TestConnectionsPastTheDeadline(t *testing.T) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	g := connectivity.Connections(ctx, snapshotOf(t, small), connectivity.Options{})
	if edges := slices.Collect(g.Edges); len(edges) > 0 {
		t.Errorf("%d edges, want none", len(edges))
	}
	compareLines(t, "partial", g.Partial, "stopped after the first 0 of 2 sources: context deadline exceeded")
}

// TestCompareOfAnEndedContext: the difference holds what was compared until then, whole sources at a time.
func TestCompareOfAnEndedContext(t *testing.T) {
	const pods = 40
	before := snapshotOf(t, crowd(pods))
	after := snapshotOf(t, crowd(pods)+`
kind: NetworkPolicy
metadata: {namespace: shop, name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}`)
	all := formatEdges(connectivity.Compare(context.Background(), before, after, connectivity.Options{}).Cut)
	for _, stop := range []int{0, 1, 17, pods} {
		ctx, cancel := context.WithCancelCause(context.Background())
		if stop == 0 {
			cancel(errEnough)
		}
		sources := 0
		diff := connectivity.Compare(ctx, before, after, connectivity.Options{Progress: func(done, _ int) {
			if sources = done; done == stop {
				cancel(errEnough)
			}
		}})
		cancel(nil)
		got := formatEdges(diff.Cut)
		if len(got) != sources*(pods-1) || !slices.Equal(got, all[:len(got)]) || diff.Unchanged != 2*sources || len(diff.Nodes) != pods {
			t.Errorf("stopped at %d: %d edges of %d sources, %d unchanged, %d nodes", stop, len(got), sources, diff.Unchanged, len(diff.Nodes))
		}
		want := fmt.Sprintf("stopped after the first %d of %d sources: that was enough", sources, pods)
		if len(diff.Partial) != 1 || diff.Partial[0] != want {
			t.Errorf("stopped at %d: partial %q, want %q", stop, diff.Partial, want)
		}
	}
}
