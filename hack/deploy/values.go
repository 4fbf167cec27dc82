package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is one key of the chart's values.yaml.
type value struct {
	path []string
	// comment is the text above the key, in one line.
	comment string
	// leaf says that the key is set as a whole; the others only hold keys. fallback is what the file says of a leaf.
	leaf     bool
	fallback any
}

func (v value) name() string { return strings.Join(v.path, ".") }

// parseValues reads values.yaml with its comments, in the order of the file. Every leaf needs a comment.
func parseValues(text []byte) ([]value, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if document.Kind != yaml.DocumentNode || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("values.yaml is no mapping")
	}
	return appendValues(nil, nil, document.Content[0])
}

func appendValues(out []value, path []string, mapping *yaml.Node) ([]value, error) {
	for i := 0; i < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		v := value{path: append(append([]string(nil), path...), key.Value), comment: plain(key.HeadComment)}
		v.leaf = node.Kind != yaml.MappingNode || len(node.Content) == 0
		if !v.leaf {
			var err error
			if out, err = appendValues(append(out, v), v.path, node); err != nil {
				return nil, err
			}
			continue
		}
		if v.comment == "" {
			return nil, fmt.Errorf("values.yaml:%d: %s has no comment above it", key.Line, v.name())
		}
		if err := node.Decode(&v.fallback); err != nil {
			return nil, fmt.Errorf("values.yaml:%d: %s: %w", key.Line, v.name(), err)
		}
		out = append(out, v)
	}
	return out, nil
}

// plain takes the marks from a comment and joins its lines.
func plain(comment string) string {
	var words []string
	for line := range strings.Lines(comment) {
		words = append(words, strings.Fields(strings.TrimLeft(line, "#"))...)
	}
	return strings.Join(words, " ")
}

// inline writes a default as YAML in one line.
func (v value) inline() (string, error) {
	text, err := json.Marshal(v.fallback)
	return string(text), err
}
