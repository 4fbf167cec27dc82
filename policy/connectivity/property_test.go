package connectivity_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// worlds is the number of random clusters for each property.
const worlds = 1_000

// table is a list of edges as a lookup.
type table struct {
	between     map[[2]string]connectivity.Ports
	leave, come map[string][]connectivity.Reach // by node
}

func tableOf(edges []connectivity.Edge) *table {
	t := &table{map[[2]string]connectivity.Ports{}, map[string][]connectivity.Reach{}, map[string][]connectivity.Reach{}}
	for _, e := range edges {
		switch {
		case e.From.Node == nil:
			t.come[endKey(e.To)] = append(t.come[endKey(e.To)], connectivity.Reach{Range: e.From.Range, Ports: e.Ports})
		case e.To.Node == nil:
			t.leave[endKey(e.From)] = append(t.leave[endKey(e.From)], connectivity.Reach{Range: e.To.Range, Ports: e.Ports})
		default:
			t.between[[2]string{endKey(e.From), endKey(e.To)}] = e.Ports
		}
	}
	return t
}

// at gives the ports that the list allows with an address.
func at(reaches []connectivity.Reach, a netip.Addr) connectivity.Ports {
	for _, r := range reaches {
		if holds(r.Range, a) {
			return r.Ports
		}
	}
	return connectivity.Ports{}
}

func holds(r connectivity.Range, a netip.Addr) bool {
	return r.First.Is4() == a.Is4() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// TestConnectionsAgreeWithOracle: an edge holds a port exactly if some pod of the one node may open a connection on it to
// some pod of the other, or to the address; and the nodes are the owners of the pods.
func TestConnectionsAgreeWithOracle(t *testing.T) {
	var connected, refused atomic.Int64
	forAll(t, worlds, func(d draw, w *world) string {
		s, o := w.snapshot(nil), w.oracle()
		nodes := connectivity.Nodes(s)
		if problem := checkNodes(nodes, w, o); problem != "" {
			return problem
		}
		edges := edgesOf(s, w.options())
		if problem := checkForm(edges); problem != "" {
			return problem
		}
		got := tableOf(edges)
		if problem := checkBetween(d, got, o, &connected, &refused); problem != "" {
			return problem
		}
		return checkBeyond(d, got, w, o)
	})
	// Random clusters that allow or deny nearly everything would prove little.
	if all := connected.Load() + refused.Load(); connected.Load()*10 < all || refused.Load()*10 < all {
		t.Errorf("of %d connections %d connected and %d were refused: the random clusters are lopsided", all, connected.Load(), refused.Load())
	}
}

func checkBetween(d draw, got *table, o *oracle, connected, refused *atomic.Int64) string {
	ports := d.probes(10)
	for from := range o.ends {
		for to := range o.ends {
			if from == to {
				continue
			}
			has := got.between[[2]string{from, to}]
			for _, port := range ports {
				want := o.reaches(from, to, port)
				if has.Contains(port) != want {
					return fmt.Sprintf("%s -> %s on %v: the edge has %s, the oracle says %v", from, to, port, has, want)
				}
				if want {
					connected.Add(1)
				} else {
					refused.Add(1)
				}
			}
		}
	}
	return ""
}

func checkBeyond(d draw, got *table, w *world, o *oracle) string {
	ports := d.probes(5)
	for _, a := range w.probeAddresses() {
		for node := range o.ends {
			for _, port := range ports {
				if has, want := at(got.leave[node], a), o.leaves(node, a, port); has.Contains(port) != want {
					return fmt.Sprintf("%s -> %s on %v: the edge has %s, the oracle says %v", node, a, port, has, want)
				}
				if has, want := at(got.come[node], a), o.enters(node, a, port); has.Contains(port) != want {
					return fmt.Sprintf("%s -> %s on %v: the edge has %s, the oracle says %v", a, node, port, has, want)
				}
			}
		}
	}
	return ""
}

// checkNodes compares the nodes with the owners of the world's pods.
func checkNodes(nodes []*connectivity.Node, w *world, o *oracle) string {
	order := slices.SortedFunc(maps.Keys(o.ends), func(a, b string) int {
		x, y := strings.Split(a, "/"), strings.Split(b, "/")
		return slices.Compare([]string{x[0], x[2], x[1]}, []string{y[0], y[2], y[1]})
	})
	if len(order) != len(nodes) {
		return fmt.Sprintf("%d nodes, want %d", len(nodes), len(order))
	}
	for i, key := range order {
		n, pods, host := nodes[i], 0, true
		for _, p := range w.pods {
			if !p.finished && p.ownerKey() == key {
				pods++
			}
		}
		isolated := [2]bool{true, true}
		for _, e := range o.ends[key] {
			host = host && e.HostNetwork
			for _, d := range netpol.Directions {
				isolated[d] = isolated[d] && netpol.Isolated(d, e, o.policies)
			}
		}
		if nodeKey(n) != key || n.Pods != pods || n.HostNetwork != host || n.Isolated != isolated {
			return fmt.Sprintf("node %s, want %s pods %d isolated %v host %v", formatNode(n), key, pods, isolated, host)
		}
	}
	return ""
}

// checkForm checks what the doc comments promise of the edges' order and shape.
func checkForm(edges []connectivity.Edge) string {
	for i, e := range edges {
		switch {
		case e.Ports.Empty():
			return "an edge without ports: " + formatEdge(e)
		case e.From.Node == nil && e.To.Node == nil:
			return "an edge outside the cluster: " + formatEdge(e)
		case e.From.Node != nil && e.From.Node == e.To.Node:
			return "an edge from a node to itself: " + formatEdge(e)
		case i == 0:
			continue
		}
		last := edges[i-1]
		if c := slices.Compare(append(sortKey(last.From), sortKey(last.To)...), append(sortKey(e.From), sortKey(e.To)...)); c >= 0 {
			return fmt.Sprintf("%s comes before %s", formatEdge(last), formatEdge(e))
		}
		if last.To.Node == nil && e.To.Node == nil && endKey(last.From) == endKey(e.From) &&
			last.To.Range.Last.Next() == e.To.Range.First && last.Ports.Equal(e.Ports) {
			return fmt.Sprintf("%s and %s are one", formatEdge(last), formatEdge(e))
		}
	}
	return ""
}

// sortKey writes an endpoint so that strings sort as edges should: nodes by namespace, name and kind, then IPv4, then IPv6.
func sortKey(e connectivity.Endpoint) []string {
	if e.Node != nil {
		return []string{"node", e.Node.Namespace, e.Node.Name, e.Node.Kind}
	}
	family := "range4"
	if e.Range.First.Is6() {
		family = "range6"
	}
	return []string{family, fmt.Sprintf("%x", e.Range.First.AsSlice()), fmt.Sprintf("%x", e.Range.Last.AsSlice()), ""}
}

// TestOrderOfEventsDoesNotMatter: the same objects in another order give the same edges, byte for byte.
func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	forAll(t, worlds/2, func(d draw, w *world) string {
		s, shuffled := w.snapshot(nil), w.snapshot(&d)
		a, b := formatNodes(connectivity.Nodes(s)), formatNodes(connectivity.Nodes(shuffled))
		if !slices.Equal(a, b) {
			return fmt.Sprintf("nodes\n%s\nshuffled\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		a, b = formatEdges(edgesOf(s, w.options())), formatEdges(edgesOf(shuffled, w.options()))
		if !slices.Equal(a, b) {
			return fmt.Sprintf("edges\n%s\nshuffled\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		return ""
	})
}
