package render

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// Map is the neighbourhood of one namespace as people look at it: who reaches it at the left, its workloads in the middle, what
// they reach at the right, and what a change would cut and open. It is bounded, and Notes say what it leaves out.
type Map struct {
	// Lines are what is drawn, in words: what a change cuts first, then what it opens, then what is allowed.
	Lines []MapLine
	// Notes say what is not drawn, a sentence each.
	Notes []string

	columns [3][]mapGroup // from left to right
	byKey   [3]map[string]*mapBox
	lines   []mapLine
	seen    map[mapLine]bool
	width   float64
	height  float64
}

// MapLine is one line of a map.
type MapLine struct {
	From, To, Ports string
	// Fate is "cut", "opened", or empty for what is allowed now.
	Fate string
}

// Flow is a connection that a change would cut or open, between ends in words: "shop/app=web", "shop/api", "10.0.0.0/8".
type Flow struct{ From, To, Ports string }

// The columns of a map.
const (
	sources = iota
	middle
	targets
)

// Bounds of a map. A drawing of more than these is no longer read but looked away from.
const (
	maxOwn      = 24 // workloads of the namespace
	maxPeers    = 14 // workloads at a side; more are drawn by namespace, and those are bounded alike
	maxInside   = 28 // lines inside the namespace
	maxFateEnds = 12 // ends of what a change cuts and opens that nothing else has drawn
)

type mapGroup struct {
	title string
	boxes []*mapBox
	y, h  float64
}

// mapBox is one end: a workload, a namespace, or addresses.
type mapBox struct {
	name, detail string
	title        string // the whole name, for the tool tip and the lines in words
	class        string // of the stylesheet
	x, y         float64
}

type mapLine struct {
	from, to             *mapBox
	fromColumn, toColumn int
	ports                string
	fate                 fate
}

// NewMap makes the map of a neighbourhood and of what a change would cut and open there. The same neighbourhood gives the same
// map.
func NewMap(n *connectivity.Neighbourhood, cutFlows, openedFlows []Flow) *Map {
	b := newMapBuilder(n)
	b.m.seen = map[mapLine]bool{}
	for d, row := range n.Rows {
		b.row(d, row)
	}
	for _, reason := range n.Partial {
		b.m.Notes = append(b.m.Notes, "Incomplete: "+printable(reason)+".")
	}
	if len(n.Nodes) == 0 {
		b.m.Notes = append(b.m.Notes, "There are no workloads in this namespace.")
	}
	b.place()
	b.flows(cutFlows, cut)
	b.flows(openedFlows, opened)
	b.m.describe()
	b.m.layout()
	return b.m
}

// Empty reports whether there is nothing to draw.
func (m *Map) Empty() bool { return len(m.lines) == 0 && len(m.columns[middle][0].boxes) == 0 }

// describe gives the lines in words.
func (m *Map) describe() {
	for _, f := range []fate{cut, opened, kept} {
		for _, l := range m.lines {
			if l.fate == f {
				m.Lines = append(m.Lines, MapLine{l.from.title, l.to.title, l.ports, fateClass(f)})
			}
		}
	}
}

func fateClass(f fate) string { return [...]string{"", "cut", "opened"}[f] }

// box gives the box with a key, made if need be.
func (m *Map) box(column int, group, key string, made mapBox) *mapBox {
	if b := m.byKey[column][key]; b != nil {
		return b
	}
	m.byKey[column][key] = &made
	i := slices.IndexFunc(m.columns[column], func(g mapGroup) bool { return g.title == group })
	if i < 0 {
		i = len(m.columns[column])
		m.columns[column] = append(m.columns[column], mapGroup{title: group})
	}
	m.columns[column][i].boxes = append(m.columns[column][i].boxes, &made)
	return &made
}

// join adds a line, unless it is there.
func (m *Map) join(from, to *mapBox, fromColumn, toColumn int, ports string, f fate) {
	l := mapLine{from, to, fromColumn, toColumn, ports, f}
	if !m.seen[l] {
		m.seen[l] = true
		m.lines = append(m.lines, l)
	}
}

// workloadBox draws a node.
func workloadBox(n *connectivity.Node) mapBox {
	detail := printable(n.Kind)
	if n.Pods > 0 {
		detail += ", " + count(n.Pods, "pod")
	}
	class := [...]string{"open", "ingress", "egress", "closed", "host"}[way(n)]
	return mapBox{name: printable(n.Name), detail: detail, title: printable(n.String()), class: class}
}
