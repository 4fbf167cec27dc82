package manifest

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node parses the document for the lines of its nodes; nil where that fails. Most documents have no problem, so most
// are never parsed this second time.
func (d *document) node() *yaml.Node {
	if d.parsed {
		return d.root
	}
	d.parsed = true
	text := d.text
	if len(d.json) > 0 && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		text = bytes.ReplaceAll(text, []byte("\t"), []byte(" ")) // JSON may be indented with tabs, YAML may not
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err == nil && len(doc.Content) > 0 {
		d.root = doc.Content[0]
	}
	return d.root
}

// at gives the source of a field of d, such as spec.ingress[0].from, or of the nearest field around it that d has. base is
// the path of the object within the document: empty unless it is an item of a list.
func (d *document) at(base, path string) Source {
	s := d.source
	if base != "" && path != "" {
		base += "."
	}
	path = base + path
	if path == "" {
		return s
	}
	root := d.node()
	if root == nil {
		return s
	}
	s.Line = d.fileLine(lineOf(root, path))
	return s
}

// lineOf follows path from n as far as it leads. Keys may hold dots themselves, so the longest key that fits is taken.
func lineOf(n *yaml.Node, path string) int {
	if key, _ := follow(n, path); key != nil {
		return key.Line
	}
	return n.Line
}

func item(n *yaml.Node, path string) (*yaml.Node, string) {
	index, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	i, err := strconv.Atoi(index)
	if !ok || err != nil || i < 0 || i >= len(n.Content) {
		return nil, ""
	}
	return n.Content[i], strings.TrimPrefix(rest, ".")
}

// member finds the key of n that path starts with; where n has it twice, the last one, which is the one that counts.
func member(n *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		after, ok := strings.CutPrefix(path, k.Value)
		if !ok || after != "" && after[0] != '.' && after[0] != '[' {
			continue
		}
		if key == nil || len(k.Value) >= len(key.Value) {
			key, value, rest = k, v, strings.TrimPrefix(after, ".")
		}
	}
	if key != nil {
		return key, value, rest
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			return merged(n.Content[i+1], path)
		}
	}
	return nil, nil, ""
}

// merged looks path up in what a "<<" key merges: a mapping or a list of them.
func merged(n *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	sources := n.Content
	if n.Kind == yaml.MappingNode {
		sources = []*yaml.Node{n}
	}
	for _, s := range sources {
		if s.Kind == yaml.AliasNode {
			s = s.Alias
		}
		if key, value, rest = member(s, path); key != nil {
			return key, value, rest
		}
	}
	return nil, nil, ""
}
