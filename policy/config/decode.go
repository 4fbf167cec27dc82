package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	actionType      = reflect.TypeFor[Action]()
	guardrailsType  = reflect.TypeFor[map[string]GuardrailConfig]()
)

// decoder puts YAML nodes into Go values and collects every problem on the
// way, where a library's decoder stops at the first or loses the line. It
// reads YAML 1.2 scalars, so that an unquoted Off stays a word (YAML 1.1, and
// with it sigs.k8s.io/yaml, makes it false).
type decoder struct {
	specs    []Spec
	problems []Problem
	omitted  int             // problems past maxProblems
	faulty   map[string]bool // fields that have a problem
	lines    map[string]int  // by field path
}

func newDecoder(specs []Spec, root *yaml.Node) *decoder {
	return &decoder{specs: specs, faulty: map[string]bool{}, lines: map[string]int{"": root.Line}}
}

func (d *decoder) add(path *field.Path, message, remedy string) {
	at := pathString(path)
	d.addAt(d.lineOf(at), at, message, remedy)
}

// pathString is path.String with "" for the root, which it calls "<nil>".
func pathString(path *field.Path) string {
	if path == nil {
		return ""
	}
	return path.String()
}

func (d *decoder) addAt(line int, path, message, remedy string) {
	d.faulty[path] = true
	if len(d.problems) == maxProblems {
		d.omitted++
		return
	}
	d.problems = append(d.problems, Problem{
		Line: line, Field: printable(path), Message: printable(message), Remedy: printable(remedy),
	})
}

// lineOf returns the line of the field at path, or of the nearest field around
// it that the file has.
func (d *decoder) lineOf(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.lines[""]
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	value *yaml.Node
	path  *field.Path
}

// entries returns the entries of a mapping once its keys are sound, and notes
// their lines. Duplicates are reported and left out.
func (d *decoder) entries(node *yaml.Node, path *field.Path, keyed bool) []entry {
	var all []entry
	first := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if !isString(key) {
			d.addAt(key.Line, pathString(path), "a key must be a string, but is "+describe(key), "write a name, in quotes where needed")
			continue
		}
		at := childPath(path, key.Value, keyed)
		if line, ok := first[key.Value]; ok {
			d.addAt(key.Line, at.String(), fmt.Sprintf("the key %s is already on line %d", quote(key.Value), line), "keep one of them")
			continue
		}
		first[key.Value] = key.Line
		d.lines[at.String()] = key.Line
		all = append(all, entry{key: key.Value, value: value, path: at})
	}
	return all
}

// childPath appends a key to path: dotted, or in brackets for the keys of free
// maps and for what would not read as one name.
func childPath(path *field.Path, key string, keyed bool) *field.Path {
	plain := key != "" && len(key) <= maxQuotedRunes
	for _, r := range key {
		plain = plain && (r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}
	switch {
	case path == nil && plain:
		return field.NewPath(key)
	case path == nil:
		return field.NewPath("[" + quote(key) + "]")
	case keyed && plain:
		return path.Key(key)
	case plain:
		return path.Child(key)
	default:
		return path.Key(quote(key))
	}
}

// decode puts node into v, which is settable. Where it cannot, v keeps its
// value and a problem is added. It goes no deeper than v's type, which does not
// hold itself (CheckSpecs).
func (d *decoder) decode(node *yaml.Node, v reflect.Value, path *field.Path) {
	switch {
	case node.Kind == yaml.AliasNode:
		d.add(path, "YAML aliases are not accepted", "write the value out")
		return
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
		d.null(v, path)
		return
	}
	switch {
	case v.Type() == actionType:
		d.action(node, v, path)
	case v.Type() == guardrailsType:
		d.guardrails(node, v, path)
	case v.Kind() == reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		if !v.IsNil() {
			fresh.Elem().Set(v.Elem())
		}
		d.decode(node, fresh.Elem(), path)
		v.Set(fresh)
	case v.Addr().Type().Implements(textUnmarshaler):
		d.text(node, v, path)
	case v.Kind() == reflect.Struct:
		d.object(node, v, path)
	case v.Kind() == reflect.Map:
		d.mapping(node, v, path)
	case v.Kind() == reflect.Slice:
		d.sequence(node, v, path)
	default:
		d.scalar(node, v, path)
	}
}

// null accepts an empty section, as left behind when all its lines are
// commented out, and refuses a scalar without a value.
func (d *decoder) null(v reflect.Value, path *field.Path) {
	section := v.Kind() == reflect.Struct && !v.Addr().Type().Implements(textUnmarshaler)
	if section || v.Kind() == reflect.Map || v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer {
		return
	}
	d.add(path, "has no value", "write one or remove the line")
}

func (d *decoder) object(node *yaml.Node, v reflect.Value, path *field.Path) {
	if node.Kind != yaml.MappingNode {
		d.mismatch(node, path, "a mapping")
		return
	}
	names := fieldNames(v.Type())
	for _, e := range d.entries(node, path, false) {
		i := indexOf(names, e.key)
		if i < 0 {
			d.unknown(e, "field here", names)
			continue
		}
		d.decode(e.value, v.Field(i), e.path)
	}
}

func (d *decoder) unknown(e entry, what string, known []string) {
	var names []string
	for _, name := range known {
		if name != "" {
			names = append(names, name)
		}
	}
	d.add(e.path, fmt.Sprintf("%s is not a %s", quote(e.key), what), suggest(e.key, names))
}

// mapping replaces v: a map that the file writes is the whole map.
func (d *decoder) mapping(node *yaml.Node, v reflect.Value, path *field.Path) {
	if node.Kind != yaml.MappingNode {
		d.mismatch(node, path, "a mapping")
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, e := range d.entries(node, path, true) {
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, item, e.path)
		m.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), item)
	}
	v.Set(m)
}

// sequence replaces v: a list that the file writes is the whole list.
func (d *decoder) sequence(node *yaml.Node, v reflect.Value, path *field.Path) {
	if node.Kind != yaml.SequenceNode {
		d.mismatch(node, path, "a list")
		return
	}
	s := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		at := path.Index(i)
		d.lines[at.String()] = item.Line
		d.decode(item, s.Index(i), at)
	}
	v.Set(s)
}

// fieldNames returns the json names of t's fields by index; "" for a field that
// a file cannot set.
func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		f := t.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() && name != "-" {
			names[i] = name
		}
	}
	return names
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name && n != "" {
			return i
		}
	}
	return -1
}
