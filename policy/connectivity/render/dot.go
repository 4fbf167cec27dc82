package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// dotLimit is the number of lines up to which Graphviz' dot lays out a drawing in seconds.
const dotLimit = 2000

// DOT writes a graph for Graphviz, with namespaces as clusters; open workloads have a dashed outline. A graph of more than
// 2,000 lines is drawn by namespace, and says so.
func DOT(w io.Writer, g *connectivity.Graph) error { return writeDOT(w, drawGraph(g, dotLimit)) }

// DiffDOT writes what is cut (red, dashed) and opened (green, bold) for Graphviz, with the limit of DOT.
func DiffDOT(w io.Writer, d *connectivity.Difference) error {
	return writeDOT(w, drawDifference(d, dotLimit))
}

func writeDOT(w io.Writer, d *drawing) error {
	return buffered(w, func(b *bufio.Writer) error {
		fmt.Fprintln(b, "digraph connectivity {")
		fmt.Fprintln(b, "  rankdir=LR")
		fmt.Fprintln(b, `  node [shape=box, style=rounded, fontname="Helvetica", fontsize=11]`)
		fmt.Fprintln(b, `  edge [fontname="Helvetica", fontsize=9, color="#64748b"]`)
		if len(d.notes) > 0 {
			fmt.Fprintf(b, "  label=%s\n", quoteDOT(strings.Join(d.notes, "\n")))
		}
		for i, g := range d.groups {
			writeDOTGroup(b, i, g)
		}
		for _, l := range d.lines {
			fmt.Fprintf(b, "  %s -> %s [label=%s%s]\n", l.from, l.to, quoteDOT(signed(l)), dotLine(l))
		}
		_, err := fmt.Fprintln(b, "}")
		return err
	})
}

func writeDOTGroup(b *bufio.Writer, i int, g group) {
	framed := g.name != "" && g.shapes[0].kind == workloadShape
	indent := "  "
	if framed {
		fmt.Fprintf(b, "  subgraph cluster_%d {\n    label=%s\n    style=rounded\n    color=\"#94a3b8\"\n", i, quoteDOT(g.name))
		indent = "    "
	}
	for _, s := range g.shapes {
		fmt.Fprintf(b, "%s%s [label=%s%s]\n", indent, s.id, quoteDOT(s.label), dotShape(s))
	}
	if framed {
		fmt.Fprintln(b, "  }")
	}
}

func dotShape(s shape) string {
	switch {
	case s.kind == addressShape:
		return ", shape=ellipse, style=solid"
	case s.kind == namespaceShape:
		return ", shape=folder, style=solid"
	case s.way == open:
		return `, style="rounded,dashed", color="#b45309", tooltip="open"`
	case s.way == isolatedBoth:
		return `, style="rounded,bold", tooltip="isolated"`
	case s.way == beyond:
		return `, style="rounded,dotted", tooltip="on the host network"`
	}
	return fmt.Sprintf(", tooltip=%s", quoteDOT(wayText(s.way)))
}

func dotLine(l line) string {
	style := [...]string{
		"", `, color="#dc2626", fontcolor="#dc2626", style=dashed`, `, color="#16a34a", fontcolor="#16a34a", style=bold`,
	}[l.fate]
	if l.both {
		style += ", dir=both"
	}
	return style
}

// quoteDOT writes a quoted string of the DOT language, in which a backslash begins an escape such as \n or \N.
func quoteDOT(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
