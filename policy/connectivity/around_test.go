package connectivity_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestAroundAgreesWithConnections: the rows of a namespace together are the edges of the whole cluster that have an end in it,
// each once.
func TestAroundAgreesWithConnections(t *testing.T) {
	forAll(t, worlds, func(_ draw, w *world) string {
		s := w.snapshot(nil)
		all := edgesOf(s, w.options())
		nodes := connectivity.Nodes(s)
		for _, name := range append(namespacesOf(nodes), "no-such-namespace") {
			inside := func(e connectivity.Endpoint) bool { return e.Node != nil && e.Node.Namespace == name }
			want := slices.DeleteFunc(slices.Clone(all), func(e connectivity.Edge) bool { return !inside(e.From) && !inside(e.To) })
			n := connectivity.Around(context.Background(), s, name, w.options())
			var got []connectivity.Edge
			for d, row := range n.Rows {
				for _, e := range row {
					if d == netpol.Ingress && !inside(e.To) || d == netpol.Egress && !inside(e.From) {
						return fmt.Sprintf("%s is in a row for %v of %s", formatEdge(e), d, name)
					}
				}
				got = append(got, row...)
			}
			a, b := formatEdges(want), formatEdges(got)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				return fmt.Sprintf("around %s:\nwant %q\ngot  %q", name, a, b)
			}
			if n.Others+len(n.Nodes) != len(nodes) {
				return fmt.Sprintf("%s has %d nodes and %d others, of %d", name, len(n.Nodes), n.Others, len(nodes))
			}
		}
		return ""
	})
}

// namespacesOf gives the namespaces of sorted nodes.
func namespacesOf(nodes []*connectivity.Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Namespace)
	}
	return slices.Compact(out)
}

func TestAroundStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := connectivity.Around(ctx, snapshotOf(t, small), "shop", connectivity.Options{})
	for range n.Rows {
		t.Fatal("there is a row after the end")
	}
	if want := []string{"stopped after the first 0 of 2 workloads: context canceled"}; !slices.Equal(n.Partial, want) {
		t.Errorf("partial is %q, want %q", n.Partial, want)
	}
}
