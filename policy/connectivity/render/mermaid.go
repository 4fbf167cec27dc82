package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// mermaidLimit is the number of lines that Mermaid draws by default. Source: Mermaid configuration, maxEdges.
const mermaidLimit = 500

// Mermaid writes a graph as a flowchart that GitHub and GitLab show in Markdown, with namespaces as subgraphs; open
// workloads have a dashed outline. A graph of more than 500 lines is drawn by namespace, and says so.
func Mermaid(w io.Writer, g *connectivity.Graph) error {
	return writeMermaid(w, drawGraph(g, mermaidLimit))
}

// DiffMermaid writes what is cut (red, dotted) and opened (green, thick) as a flowchart, with the limit of Mermaid.
func DiffMermaid(w io.Writer, d *connectivity.Difference) error {
	return writeMermaid(w, drawDifference(d, mermaidLimit))
}

func writeMermaid(w io.Writer, d *drawing) error {
	return buffered(w, func(b *bufio.Writer) error {
		fmt.Fprintln(b, "flowchart LR")
		for i, g := range d.groups {
			writeMermaidGroup(b, i, g)
		}
		if len(d.notes) > 0 {
			fmt.Fprintf(b, "  notes[%s]:::note\n", quoteMermaid(strings.Join(d.notes, "\n")))
		}
		for _, l := range d.lines {
			fmt.Fprintf(b, "  %s %s|%s| %s\n", l.from, mermaidArrow(l), quoteMermaid(signed(l)), l.to)
		}
		writeMermaidStyles(b, d)
		return b.Flush()
	})
}

func writeMermaidGroup(b *bufio.Writer, i int, g group) {
	framed := g.name != "" && g.shapes[0].kind == workloadShape
	indent := "  "
	if framed {
		fmt.Fprintf(b, "  subgraph g%d[%s]\n", i, quoteMermaid(g.name))
		indent = "    "
	}
	for _, s := range g.shapes {
		fmt.Fprintf(b, "%s%s%s\n", indent, s.id, mermaidShape(s))
	}
	if framed {
		fmt.Fprintln(b, "  end")
	}
}

func mermaidShape(s shape) string {
	label := quoteMermaid(s.label)
	switch {
	case s.kind == addressShape:
		return "([" + label + "])"
	case s.kind == namespaceShape:
		return "[[" + label + "]]"
	case s.way == open:
		return "[" + label + "]:::open"
	case s.way == isolatedBoth:
		return "[" + label + "]:::isolated"
	case s.way == beyond:
		return "[" + label + "]:::host"
	}
	return "[" + label + "]"
}

func mermaidArrow(l line) string {
	arrow := [...]string{"-->", "-.->", "==>"}[l.fate]
	if l.both {
		return "<" + arrow
	}
	return arrow
}

// writeMermaidStyles ends the chart. Lines are coloured by their number in the order of writing.
func writeMermaidStyles(b *bufio.Writer, d *drawing) {
	fmt.Fprintln(b, "  classDef open stroke:#b45309,stroke-dasharray:5 4")
	fmt.Fprintln(b, "  classDef isolated stroke-width:2px")
	fmt.Fprintln(b, "  classDef host stroke-dasharray:1 3")
	fmt.Fprintln(b, "  classDef note fill:none,stroke:none")
	for _, style := range []struct {
		fate   fate
		colour string
	}{{cut, "#dc2626"}, {opened, "#16a34a"}} {
		var numbers []string
		for i, l := range d.lines {
			if l.fate == style.fate {
				numbers = append(numbers, fmt.Sprint(i))
			}
		}
		if len(numbers) > 0 {
			fmt.Fprintf(b, "  linkStyle %s stroke:%s,color:%s\n", strings.Join(numbers, ","), style.colour, style.colour)
		}
	}
}

// quoteMermaid writes a quoted label. Mermaid reads entity codes such as #quot; in it, and Markdown and HTML without
// them; so everything but letters, digits and what names are made of becomes a code.
func quoteMermaid(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("<br/>")
		case r > unicode.MaxASCII, unicode.IsLetter(r), unicode.IsDigit(r), strings.ContainsRune(" -./:,()+", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
