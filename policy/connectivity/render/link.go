package render

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// link is an edge for people: address ranges that are treated alike are one end.
type link struct {
	from, to end
	ports    connectivity.Ports
}

// end is one end of a link: a node, or addresses outside the cluster where node is nil.
type end struct {
	node      *connectivity.Node
	addresses addresses
}

func compareEnds(a, b end) int {
	switch {
	case a.node != nil && b.node != nil:
		return compareNodes(a.node, b.node)
	case a.node != nil:
		return -1
	case b.node != nil:
		return 1
	}
	return a.addresses.compare(b.addresses)
}

func compareNodes(a, b *connectivity.Node) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
}

// portion is the addresses that one node is joined with on the same ports.
type portion struct {
	ports     connectivity.Ports
	addresses addresses
}

// portions divides the ranges that one node is joined with by ports, in the order in which the ports turn up.
type portions []portion

// with adds a range; ranges come sorted.
func (p portions) with(r connectivity.Range, ports connectivity.Ports) portions {
	for i := range p {
		if p[i].ports.Equal(ports) {
			p[i].addresses = p[i].addresses.with(r)
			return p
		}
	}
	return append(p, portion{ports, addresses{r}})
}

// links gives a graph's edges for people, in the graph's order: by source and destination, nodes before addresses. Edges
// between nodes pass through; of edges to addresses those of one source are held, and edges from addresses are held
// until the end, joined.
func links(edges iter.Seq[connectivity.Edge]) iter.Seq[link] {
	return func(yield func(link) bool) {
		var source *connectivity.Node
		var outside portions
		inbound := entries{}
		for e := range edges {
			if e.From.Node != source {
				if !yieldOutside(source, outside, yield) {
					return
				}
				source, outside = e.From.Node, nil
			}
			switch {
			case source == nil:
				inbound.add(e)
			case e.To.Node == nil:
				outside = outside.with(e.To.Range, e.Ports)
			case !yield(link{end{node: source}, end{node: e.To.Node}, e.Ports}):
				return
			}
		}
		if !yieldOutside(source, outside, yield) {
			return
		}
		for _, l := range inbound.links() {
			if !yield(l) {
				return
			}
		}
	}
}

func yieldOutside(source *connectivity.Node, outside portions, yield func(link) bool) bool {
	for _, p := range outside {
		if !yield(link{end{node: source}, end{addresses: p.addresses}, p.ports}) {
			return false
		}
	}
	return true
}

// entries are the addresses that reach each node.
type entries map[*connectivity.Node]portions

func (in entries) add(e connectivity.Edge) { in[e.To.Node] = in[e.To.Node].with(e.From.Range, e.Ports) }

// links gives the entries sorted by addresses and node.
func (in entries) links() []link {
	var out []link
	for node, reached := range in {
		for _, p := range reached {
			out = append(out, link{end{addresses: p.addresses}, end{node: node}, p.ports})
		}
	}
	slices.SortFunc(out, func(a, b link) int {
		return cmp.Or(compareEnds(a.from, b.from), compareEnds(a.to, b.to))
	})
	return out
}
