package render

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// widestColumn bounds a column of a table, in runes: longer names push their own line out and no other.
const widestColumn = 48

// Table writes a graph for people, one line for what one end may open to another, a blank line between sources, and the
// counts at the end.
func Table(w io.Writer, g *connectivity.Graph) error {
	return buffered(w, func(b *bufio.Writer) error {
		t := newTable(b, g.Nodes)
		if err := t.links("", links(g.Edges)); err != nil {
			return err
		}
		if t.lines > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintf(b, "%s between %s: %s\n", count(t.lines, "line"), count(len(g.Nodes), "workload"), isolation(g.Nodes))
		return partial(b, g.Partial)
	})
}

// DiffTable writes a difference for people: the counts, then what is cut with a minus and what is opened with a plus,
// then the workloads that came and went.
func DiffTable(w io.Writer, d *connectivity.Difference) error {
	return buffered(w, func(b *bufio.Writer) error {
		t := newTable(b, d.Nodes)
		fmt.Fprintf(b, "%d cut, %d opened, %d unchanged\n", countLinks(d.Cut), countLinks(d.Opened), d.Unchanged)
		for _, part := range []struct {
			title, mark string
			edges       []connectivity.Edge
		}{{"cut", "- ", d.Cut}, {"opened", "+ ", d.Opened}} {
			if len(part.edges) == 0 {
				continue
			}
			fmt.Fprintf(b, "\n%s\n", part.title)
			if err := t.links(part.mark, links(slices.Values(part.edges))); err != nil {
				return err
			}
		}
		t.nodes("removed", "- ", d.Removed)
		t.nodes("added", "+ ", d.Added)
		return partial(b, d.Partial)
	})
}

// countLinks counts the lines that stand for the edges.
func countLinks(edges []connectivity.Edge) int {
	n := 0
	for range links(slices.Values(edges)) {
		n++
	}
	return n
}

// table writes links in columns.
type table struct {
	w      *bufio.Writer
	names  names
	width  int
	source end // of the line before
	lines  int
}

func newTable(w *bufio.Writer, nodes []*connectivity.Node) *table {
	all := nameAll(nodes)
	return &table{w: w, names: all, width: all.widest(widestColumn)}
}

// links writes one line a link, each after mark; a blank line sets sources apart where there is no mark.
func (t *table) links(mark string, all iter.Seq[link]) error {
	for l := range all {
		if t.lines > 0 && mark == "" && compareEnds(l.from, t.source) != 0 {
			fmt.Fprintln(t.w)
		}
		t.source = l.from
		t.lines++
		from, to := t.names.of(l.from), t.names.of(l.to)
		if _, err := fmt.Fprintf(t.w, "%s%-*s  ->  %-*s  %s\n", mark, t.width, from, t.width, to, l.ports); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) nodes(title, mark string, nodes []*connectivity.Node) {
	if len(nodes) == 0 {
		return
	}
	fmt.Fprintf(t.w, "\n%s\n", title)
	for _, n := range nodes {
		fmt.Fprintf(t.w, "%s%s (%s)\n", mark, printable(n.String()), printable(n.Kind))
	}
}

// isolation counts the nodes by the directions in which they are isolated.
func isolation(nodes []*connectivity.Node) string {
	var counts [beyond + 1]int
	for _, n := range nodes {
		counts[way(n)]++
	}
	text := fmt.Sprintf("%d isolated both ways, %d ingress only, %d egress only, %d open",
		counts[isolatedBoth], counts[isolatedIngress], counts[isolatedEgress], counts[open])
	if counts[beyond] > 0 {
		text += fmt.Sprintf(", %d on the host network", counts[beyond])
	}
	return text
}

// partial ends a text with what it lacks. It gives the error that the writer has met, whenever that was.
func partial(b *bufio.Writer, reasons []string) error {
	for _, reason := range reasons {
		fmt.Fprintf(b, "incomplete: %s\n", printable(reason))
	}
	return b.Flush()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
