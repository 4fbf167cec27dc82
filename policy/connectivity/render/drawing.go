package render

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// fate says what a change does to a line of a drawing.
type fate int

const (
	kept fate = iota
	cut
	opened
)

// drawing is a graph as DOT and Mermaid draw it: bounded, and with what it leaves out in words.
type drawing struct {
	groups []group
	lines  []line
	notes  []string
}

// group is a namespace, or with an empty name the addresses outside the cluster.
type group struct {
	name   string
	shapes []shape
}

// shape is a workload, a whole namespace, or a set of addresses. Its id is "n1", "n2", … in the order of drawing.
type shape struct {
	id, label string
	way       int // of workloads only
	kind      shapeKind
}

type shapeKind int

const (
	workloadShape shapeKind = iota
	namespaceShape
	addressShape
)

// line joins two shapes by id. Both says that the same holds the other way.
type line struct {
	from, to, label string
	fate            fate
	both            bool
}

// fatedLink is a link and what a change does to it.
type fatedLink struct {
	link
	fate fate
}

// drawGraph holds at most limit lines of a graph; a larger one is drawn by namespace.
func drawGraph(g *connectivity.Graph, limit int) *drawing {
	all := func(yield func(fatedLink) bool) {
		for l := range links(g.Edges) {
			if !yield(fatedLink{l, kept}) {
				return
			}
		}
	}
	return draw(g.Nodes, all, limit, g.Partial)
}

// drawDifference holds what is cut and opened, at most limit lines of it; a larger one is drawn by namespace. Workloads
// that neither touches are left out.
func drawDifference(d *connectivity.Difference, limit int) *drawing {
	all := func(yield func(fatedLink) bool) {
		for l := range links(slices.Values(d.Cut)) {
			if !yield(fatedLink{l, cut}) {
				return
			}
		}
		for l := range links(slices.Values(d.Opened)) {
			if !yield(fatedLink{l, opened}) {
				return
			}
		}
	}
	drawn := draw(changed(d), all, limit, d.Partial)
	if d.Unchanged > 0 {
		drawn.notes = append(drawn.notes, count(d.Unchanged, "unchanged pair")+" not drawn")
	}
	return drawn
}

// changed gives the nodes that came, went, or have an edge that is cut or opened, sorted.
func changed(d *connectivity.Difference) []*connectivity.Node {
	touched := map[identity]*connectivity.Node{}
	for _, n := range slices.Concat(d.Added, d.Removed) {
		touched[identify(n)] = n
	}
	for _, e := range slices.Concat(d.Cut, d.Opened) {
		for _, end := range []connectivity.Endpoint{e.From, e.To} {
			if end.Node != nil {
				touched[identify(end.Node)] = end.Node
			}
		}
	}
	return slices.SortedFunc(maps.Values(touched), compareNodes)
}

func draw(nodes []*connectivity.Node, all iter.Seq[fatedLink], limit int, reasons []string) *drawing {
	drawn := &drawing{}
	for _, reason := range reasons {
		drawn.notes = append(drawn.notes, "incomplete: "+printable(reason))
	}
	s := newShapes(nodes)
	m := newMerger(limit, s.ofEnd)
	for l := range all {
		if !m.add(l) {
			break
		}
	}
	if m.full {
		s = newNamespaceShapes(nodes)
		m = newMerger(limit, s.ofEnd)
		for l := range all {
			m.add(l) // to the end, so that the lines that are kept have all their ports
		}
		drawn.notes = append(drawn.notes, fmt.Sprintf("more than %d lines, so each namespace is drawn as one", limit))
	}
	if m.full {
		drawn.notes = append(drawn.notes, fmt.Sprintf("only the first %d lines between namespaces are drawn", limit))
	}
	drawn.groups, drawn.lines = s.groups(), m.lines()
	return drawn
}

// signed is a line's label. What is cut and opened is so in words too, for those who cannot tell red from green.
func signed(l line) string { return [...]string{"", "cut: ", "opened: "}[l.fate] + l.label }
