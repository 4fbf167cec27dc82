package manifest

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Region is a part of a file. Lines and columns count from 1; columns count characters, and EndColumn is that after the
// last one.
type Region struct {
	Line, Column, EndLine, EndColumn int
}

// Region gives the place of a field of the object, such as spec.egress[0].to[0].podSelector: from its key, or from its
// dash in a list, to the end of its value. Where the manifest lacks the field it is the key of the nearest field around it
// that is there, and for an empty field the first line of the object. ok is false for an object that was not read with
// Reader.KeepText.
func (o *Object) Region(field string) (r Region, ok bool) {
	if o.document == nil {
		return Region{}, false
	}
	path := o.path
	if path != "" && field != "" {
		path += "."
	}
	root := o.document.node()
	if root == nil || field == "" {
		return o.firstLine(), true
	}
	key, value := follow(root, path+field)
	if key == nil {
		return o.firstLine(), true
	}
	from := position{key.Line, key.Column}
	to := after(key, from)
	if value != nil {
		to = o.document.end(value, to)
	}
	return o.document.region(from, to), true
}

// Lines gives lines of the file that the object stands in, from and to included, as far as its document has them.
func (o *Object) Lines(from, to int) []string {
	if o.document == nil {
		return nil
	}
	all := o.document.textLines()
	first := o.document.first
	from, to = max(from-first, 0), min(to-first+1, len(all))
	if from >= to {
		return nil
	}
	return slices.Clone(all[from:to])
}

func (o *Object) firstLine() Region {
	line := o.Source.Line
	r := Region{Line: line, Column: 1, EndLine: line, EndColumn: 1}
	if text := o.Lines(line, line); len(text) == 1 {
		trimmed := strings.TrimLeft(text[0], " \t")
		r.Column += runes(text[0]) - runes(trimmed)
		r.EndColumn = 1 + runes(strings.TrimRight(text[0], " \t"))
	}
	return r
}

// position is a place in a document: line and column from 1.
type position struct{ line, column int }

func (p position) before(q position) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// region gives the places of the document as those of its file.
func (d *document) region(from, to position) Region {
	return Region{Line: d.fileLine(from.line), Column: from.column, EndLine: d.fileLine(to.line), EndColumn: to.column}
}

func (d *document) textLines() []string {
	if d.split == nil {
		d.split = strings.Split(string(bytes.TrimSuffix(d.text, []byte("\n"))), "\n")
		for i, line := range d.split {
			d.split[i] = strings.TrimSuffix(line, "\r")
		}
	}
	return d.split
}

// end gives the place after the value n; atLeast is where an empty one ends.
func (d *document) end(n *yaml.Node, atLeast position) position {
	start := d.afterProperties(position{n.Line, n.Column})
	out := atLeast
	switch {
	case n.Kind == yaml.AliasNode, n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && n.Value != "":
		out = after(n, start)
	case n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		out = position{n.Line + strings.Count(strings.TrimSuffix(n.Value, "\n"), "\n") + 1, 1}
		out.column += d.width(out.line)
	case n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 && n.Kind != yaml.ScalarNode:
		out = d.closing(start)
	}
	for _, child := range n.Content {
		if end := d.end(child, position{child.Line, child.Column}); n.Style&yaml.FlowStyle == 0 && out.before(end) {
			out = end
		}
	}
	if out.before(atLeast) {
		return atLeast
	}
	return out
}

// afterProperties passes over the anchor and the tag of a value on its line.
func (d *document) afterProperties(p position) position {
	lines := d.textLines()
	if p.line < 1 || p.line > len(lines) {
		return p
	}
	line := []rune(lines[p.line-1])
	for p.column <= len(line) && (line[p.column-1] == '&' || line[p.column-1] == '!') {
		next := p.column
		for next <= len(line) && line[next-1] != ' ' {
			next++
		}
		for next <= len(line) && line[next-1] == ' ' {
			next++
		}
		p.column = next
	}
	return p
}

// width counts the characters of a line of the document.
func (d *document) width(line int) int {
	if lines := d.textLines(); line >= 1 && line <= len(lines) {
		return runes(lines[line-1])
	}
	return 0
}

// closing gives the place after the bracket that closes the one at start; quoted text is passed over.
func (d *document) closing(start position) position {
	depth := 0
	var quote rune
	lines := d.textLines()
	for line := start.line; line >= 1 && line <= len(lines); line++ {
		var previous rune
		column := 0
		for _, r := range lines[line-1] {
			if column++; line == start.line && column < start.column {
				continue
			}
			escaped := quote == '"' && previous == '\\'
			switch {
			case quote != 0:
				if r == quote && !escaped {
					quote = 0
				}
			case r == '"' || r == '\'':
				quote = r
			case r == '{' || r == '[':
				depth++
			case r == '}' || r == ']':
				depth--
			}
			if depth == 0 && quote == 0 {
				return position{line, column + 1}
			}
			if previous = r; escaped && r == '\\' {
				previous = 0
			}
		}
	}
	return start
}

// after gives the place after a key, scalar or alias that starts at p, as far as its text is on one line.
func after(n *yaml.Node, p position) position {
	for (n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode) && len(n.Content) > 0 {
		n = n.Content[0] // of a list's item that lacks the field, the first key
		p = position{n.Line, n.Column}
	}
	first, _, _ := strings.Cut(n.Value, "\n")
	width := runes(first)
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		width += len(`""`)
	}
	if n.Kind == yaml.AliasNode {
		width += len("*")
	}
	return position{p.line, p.column + width}
}

func runes(s string) int { return len([]rune(s)) }

// follow walks path from n. key is the node at which the last step that the document has begins: a key, or a list's item;
// value is what path leads to, nil where the document lacks some of it.
func follow(n *yaml.Node, path string) (key, value *yaml.Node) {
	for path != "" {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		var step, next *yaml.Node
		switch n.Kind {
		case yaml.SequenceNode:
			next, path = item(n, path)
			step = next
		case yaml.MappingNode:
			step, next, path = member(n, path)
		}
		if next == nil {
			return key, nil
		}
		key, n = step, next
	}
	return key, n
}
