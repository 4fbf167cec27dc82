// Package render writes who can reach whom, and what a change cuts and opens, as text for people and programs and as one
// HTML page. It writes to the given io.Writer and returns its first error; nothing else can fail.
//
// JSON and CSV hold every edge as the graph has it. The formats for people join the addresses outside the cluster that
// are treated alike, so that "any address except 169.254.169.254" is one line. JSON and CSV are written while the graph is
// ranged over and hold none of it; Table holds the edges from addresses alone, joined; the drawings hold what they draw,
// and say so where that is not everything.
//
// Names come from manifests that nobody has validated, so every format escapes them in its own way.
package render

import (
	"bufio"
	"io"
	"strings"
	"unicode"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// identity is what makes a node the same in two graphs.
type identity struct{ namespace, kind, name string }

func identify(n *connectivity.Node) identity { return identity{n.Namespace, n.Kind, n.Name} }

// names gives each node the text that people know it by: "shop/api", with the kind where two nodes share that.
type names map[identity]string

// nameAll names sorted nodes: those that share namespace and name are neighbours.
func nameAll(nodes []*connectivity.Node) names {
	all := make(names, len(nodes))
	for i, n := range nodes {
		text := printable(n.String())
		if i > 0 && nodes[i-1].String() == n.String() || i+1 < len(nodes) && nodes[i+1].String() == n.String() {
			text += " (" + printable(n.Kind) + ")"
		}
		all[identify(n)] = text
	}
	return all
}

// of names one end of a link.
func (all names) of(e end) string {
	if e.node == nil {
		return e.addresses.String()
	}
	return all[identify(e.node)]
}

// widest is the width of the widest name, at most limit, in runes.
func (all names) widest(limit int) int {
	width := len(anyAddress)
	for _, text := range all {
		width = max(width, len([]rune(text)))
	}
	return min(width, limit)
}

// printable replaces what could steer a terminal or turn a line's direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// buffered gives write a buffer on w and flushes it; write's own error comes first.
func buffered(w io.Writer, write func(b *bufio.Writer) error) error {
	b := bufio.NewWriter(w)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}
