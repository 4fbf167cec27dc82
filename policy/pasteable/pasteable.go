// Package pasteable writes objects as YAML that people paste into their manifests.
package pasteable

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML writes v as YAML that can be pasted into a manifest: fields in the order in which people write them, and the small
// ones on one line. It is empty for what JSON cannot hold.
func YAML(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	if text, ok := pastePlain(data); ok {
		return text
	}
	return pasteQuoted(data)
}

// pasteQuoted is YAML for any JSON, by the library.
func pasteQuoted(data []byte) string {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) != 1 {
		return ""
	}
	root := doc.Content[0]
	arrange(root, false)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	e.CompactSeqIndent()
	if e.Encode(root) != nil || e.Close() != nil {
		return ""
	}
	return out.String()
}

// fieldOrder is how manifests are commonly written; other fields follow in the order of their names.
var fieldOrder = [...]string{
	"apiVersion", "kind", "metadata", "spec", "namespace", "name",
	"ipBlock", "cidr", "except", "namespaceSelector", "podSelector", "matchLabels", "matchExpressions", "key", "operator", "values",
	"policyTypes", "ingress", "egress", "from", "to", "ports", "protocol", "port", "endPort",
}

// onOneLine are the fields whose values read best on one line.
var onOneLine = [...]string{
	"metadata", "podSelector", "namespaceSelector", "matchLabels", "matchExpressions", "ipBlock", "except", "policyTypes", "ports",
}

// lineWidth is how long a value on one line may become, in characters.
const lineWidth = 100

// arrange sorts the fields below n and chooses the style of each value. n was read from JSON, which is all in flow style.
func arrange(n *yaml.Node, flow bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		switch {
		case n.Tag != "!!str":
		case isWord(n.Value):
			n.Style = 0
		default:
			var plain yaml.Node
			// A round trip through the library quotes what an older YAML parser would take for something else.
			if data, err := yaml.Marshal(n.Value); err == nil && yaml.Unmarshal(data, &plain) == nil && len(plain.Content) == 1 {
				*n = *plain.Content[0]
			}
		}
		return
	case yaml.MappingNode:
		sortFields(n)
	}
	n.Style = 0
	if flow || len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			arrange(child, flow || slices.Contains(onOneLine[:], n.Content[i-1].Value) && width(child) <= lineWidth)
			continue
		}
		arrange(child, flow)
	}
}

// isWord reports whether every YAML parser takes s for a string without quotes. Most values are names and keys, and the
// round trip through the library is most of the time that a fix takes.
func isWord(s string) bool {
	for i := range len(s) {
		letter := s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z'
		if !letter && (i == 0 || (s[i] < '0' || s[i] > '9') && s[i] != '-' && s[i] != '.' && s[i] != '/' && s[i] != '_') {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false // YAML 1.1 takes these for something else
	}
	return true
}

func sortFields(n *yaml.Node) {
	type field struct{ key, value *yaml.Node }
	var fields []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		fields = append(fields, field{n.Content[i], n.Content[i+1]})
	}
	slices.SortStableFunc(fields, func(a, b field) int { return fieldRank(a.key.Value) - fieldRank(b.key.Value) }) // JSON's own order is by name, or by struct
	n.Content = n.Content[:0]
	for _, f := range fields {
		n.Content = append(n.Content, f.key, f.value)
	}
}

// fieldRank is the field's place in fieldOrder.
func fieldRank(key string) int {
	if i := slices.Index(fieldOrder[:], key); i >= 0 {
		return i
	}
	return len(fieldOrder)
}

// width estimates how many characters n takes on one line.
func width(n *yaml.Node) int {
	w := len(n.Value) + 2 // brackets, or what separates it from the next
	for _, child := range n.Content {
		w += width(child)
	}
	return w
}
