package connectivity

import (
	"context"
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Compare gives what is cut and opened between two clusters. Where ctx ends first, the difference holds what was done
// until then, and Partial says so.
func Compare(ctx context.Context, before, after *cluster.Snapshot, o Options) *Difference {
	c := &comparison{before: newAtlas(before, o), after: newAtlas(after, o)}
	d := &Difference{}
	c.number(d)
	done := 0
	work := func() func(int) *rowChange {
		b, a := c.before.surveyor(), c.after.surveyor()
		return func(i int) *rowChange { return c.row(b, a, i) }
	}
	for change := range inOrder(ctx, len(d.Nodes), work) {
		change.add(d)
		if done++; o.Progress != nil {
			o.Progress(done, len(d.Nodes))
		}
	}
	if ctx.Err() != nil {
		d.Partial = append(d.Partial, fmt.Sprintf("stopped after the first %d of %d sources: %v", done, len(d.Nodes), context.Cause(ctx)))
		return d
	}
	c.entrances(d)
	return d
}

// comparison is two atlases under one numbering.
type comparison struct {
	before, after *atlas
	nodes         []*Node
	sides         [][2]int32 // by node: its number before and after; none where it is on one side only
	numbers       [2][]int32 // by number on a side: the node's
}

const none = -1

func (c *comparison) number(d *Difference) {
	b, a := c.before.nodes, c.after.nodes
	c.numbers = [2][]int32{make([]int32, len(b)), make([]int32, len(a))}
	for i, j := 0, 0; i < len(b) || j < len(a); {
		order := 0
		switch {
		case i == len(b):
			order = 1
		case j == len(a):
			order = -1
		default:
			order = compareNodes(b[i], a[j])
		}
		number, side := int32(len(c.nodes)), [2]int32{none, none}
		if order <= 0 {
			side[0], c.numbers[0][i] = int32(i), number
		}
		if order >= 0 {
			side[1], c.numbers[1][j] = int32(j), number
		}
		switch {
		case order < 0:
			c.nodes, d.Removed = append(c.nodes, b[i]), append(d.Removed, b[i])
		case order > 0:
			c.nodes, d.Added = append(c.nodes, a[j]), append(d.Added, a[j])
		default:
			c.nodes = append(c.nodes, a[j])
		}
		c.sides = append(c.sides, side)
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	d.Nodes = c.nodes
}

// rowChange is what changed for one source.
type rowChange struct {
	cut, opened []Edge
	unchanged   int
}

func (r *rowChange) add(d *Difference) {
	d.Cut, d.Opened, d.Unchanged = append(d.Cut, r.cut...), append(d.Opened, r.opened...), d.Unchanged+r.unchanged
}

// put notes what one pair of endpoints had and has.
func (r *rowChange) put(from, to Endpoint, before, after Ports) {
	if ports := before.Minus(after); !ports.Empty() {
		r.cut = append(r.cut, Edge{from, to, ports})
	}
	if ports := after.Minus(before); !ports.Empty() {
		r.opened = append(r.opened, Edge{from, to, ports})
	}
	if before.Equal(after) && !before.Empty() {
		r.unchanged++
	}
}

func (c *comparison) row(before, after *surveyor, i int) *rowChange {
	b, a := &row{}, &row{}
	if n := c.sides[i][0]; n != none {
		b = before.row(n, netpol.Egress)
	}
	if n := c.sides[i][1]; n != none {
		a = after.row(n, netpol.Egress)
	}
	out := &rowChange{}
	from := Endpoint{Node: c.nodes[i]}
	for x, y := 0, 0; x < len(b.targets) || y < len(a.targets); {
		nb, na := int32(len(c.nodes)), int32(len(c.nodes))
		if x < len(b.targets) {
			nb = c.numbers[0][b.targets[x].node]
		}
		if y < len(a.targets) {
			na = c.numbers[1][a.targets[y].node]
		}
		n := min(nb, na)
		var had, has Ports
		if nb == n {
			had, x = b.targets[x].ports, x+1
		}
		if na == n {
			has, y = a.targets[y].ports, y+1
		}
		out.put(from, Endpoint{Node: c.nodes[n]}, had, has)
	}
	out.putOutside(b.outside, a.outside, func(r Range) (Endpoint, Endpoint) { return from, Endpoint{Range: r} })
	return out
}

// putOutside notes what changed with addresses outside the cluster, neighbours joined.
func (r *rowChange) putOutside(before, after []Reach, ends func(Range) (from, to Endpoint)) {
	for _, reach := range minusReach(before, after) {
		from, to := ends(reach.Range)
		r.cut = append(r.cut, Edge{from, to, reach.Ports})
	}
	for _, reach := range minusReach(after, before) {
		from, to := ends(reach.Range)
		r.opened = append(r.opened, Edge{from, to, reach.Ports})
	}
	if slices.EqualFunc(before, after, Reach.equal) {
		r.unchanged += len(before)
		return
	}
	var same []Reach
	for _, piece := range pieces(before, after) {
		if had, has := reachAt(before, piece.First), reachAt(after, piece.First); had.Equal(has) && !had.Empty() {
			same = appendReach(same, Reach{piece, had})
		}
	}
	r.unchanged += len(same)
}

// entrances notes what changed for connections that begin outside the cluster.
func (c *comparison) entrances(d *Difference) {
	all := &rowChange{}
	views := [2]*View{c.before.view(), c.after.view()}
	for i := range c.nodes {
		var reach [2][]Reach
		for side, a := range [2]*atlas{c.before, c.after} {
			n := c.sides[i][side]
			if n == none {
				continue
			}
			for _, at := range a.workloads[n] {
				x, coverage := a.covered(at)
				more, _ := views[side].near(x, coverage, netpol.Ingress).outside(noLimit)
				reach[side] = unionReach(reach[side], more)
			}
		}
		all.putOutside(reach[0], reach[1], func(r Range) (Endpoint, Endpoint) { return Endpoint{Range: r}, Endpoint{Node: c.nodes[i]} })
	}
	byFrom := func(x, y Edge) int { return compareEndpoints(x.From, y.From) }
	slices.SortStableFunc(all.cut, byFrom)
	slices.SortStableFunc(all.opened, byFrom)
	all.add(d)
}
