package pasteable

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// value is one JSON value of a text to paste.
type value struct {
	scalar string // as it is written, unless there are fields or items
	fields []member
	items  []value
	flow   bool // it is an object or list without anything in it
}

type member struct {
	key   string
	value value
}

// plainReader reads compact JSON, as encoding/json writes it, as far as every value in it is one that YAML writes the same
// way without quotes. Nearly all that guardrails paste is; the rest is left to the library, which takes many times as long.
type plainReader struct{ rest []byte }

// pastePlain is YAML for such JSON; ok is false for any other.
func pastePlain(data []byte) (text string, ok bool) {
	r := plainReader{data}
	root, ok := r.value()
	if !ok || len(r.rest) > 0 || len(root.fields)+len(root.items) == 0 {
		return "", false
	}
	var out bytes.Buffer
	if !root.write(&out, 0, false) {
		return "", false
	}
	return out.String(), true
}

// take drops c from what is left to read where that starts with it.
func (r *plainReader) take(c byte) bool {
	if len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *plainReader) value() (v value, ok bool) {
	switch {
	case r.take('{'):
		return r.object()
	case r.take('['):
		return r.list()
	case r.take('"'):
		v.scalar, ok = r.word()
		return v, ok && (isWord(v.scalar) || isRange(v.scalar))
	}
	end := 0
	for end < len(r.rest) && !strings.ContainsRune(",]}", rune(r.rest[end])) {
		end++
	}
	v.scalar, r.rest = string(r.rest[:end]), r.rest[end:]
	return v, v.scalar == "true" || v.scalar == "false" || v.scalar == "null" || isNumber(v.scalar)
}

func (r *plainReader) object() (v value, ok bool) {
	if r.take('}') {
		return value{flow: true}, true
	}
	for {
		var m member
		if !r.take('"') {
			return v, false
		}
		if m.key, ok = r.word(); !ok || !isWord(m.key) || len(m.key) > maxKey || !r.take(':') {
			return v, false
		}
		if m.value, ok = r.value(); !ok {
			return v, false
		}
		v.fields = append(v.fields, m)
		if !r.take(',') {
			break
		}
	}
	slices.SortStableFunc(v.fields, func(a, b member) int { return cmp.Compare(fieldRank(a.key), fieldRank(b.key)) })
	return v, r.take('}')
}

func (r *plainReader) list() (v value, ok bool) {
	if r.take(']') {
		return value{scalar: "[]", flow: true}, true
	}
	for {
		item, ok := r.value()
		if !ok {
			return v, false
		}
		v.items = append(v.items, item)
		if !r.take(',') {
			break
		}
	}
	return v, r.take(']')
}

// word reads a string up to its closing quote; ok is false where it holds an escape, and then something unusual.
func (r *plainReader) word() (s string, ok bool) {
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 {
		return "", false
	}
	s, r.rest = string(r.rest[:end]), r.rest[end+1:]
	return s, !strings.Contains(s, `\`)
}

// maxKey is how long a key may be that YAML writes on one line with its value; a label's may be longer.
const maxKey = 100

// isRange reports whether s is made like an IPv4 CIDR, which no YAML parser takes for anything but a string.
func isRange(s string) bool {
	address, bits, ok := strings.Cut(s, "/")
	return ok && isNumber(bits) && strings.Count(address, ".") == 3 && strings.Trim(address, "0123456789.") == "" &&
		address[0] != '.'
}

// isNumber reports whether s is a small integer without leading zeros, which JSON and YAML write alike.
func isNumber(s string) bool {
	return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

// width is what the function width says of the value.
func (v *value) width() int {
	w := len(v.scalar) + 2
	if v.flow {
		w = 2
	}
	for i := range v.fields {
		w += len(v.fields[i].key) + 2 + v.fields[i].value.width()
	}
	for i := range v.items {
		w += v.items[i].width()
	}
	return w
}

// write appends the value in block style, from a line's indent on: in a list the first line has it already. It gives false
// for what nobody pastes, a list in a list.
func (v *value) write(out *bytes.Buffer, indent int, inList bool) bool {
	for i := range v.fields {
		f := &v.fields[i]
		if i > 0 || !inList {
			spaces(out, indent)
		}
		out.WriteString(f.key)
		out.WriteByte(':')
		if !f.value.writeField(out, indent, slices.Contains(onOneLine[:], f.key)) {
			return false
		}
	}
	for i := range v.items {
		item := &v.items[i]
		if len(item.items) > 0 || inList {
			return false
		}
		spaces(out, indent)
		out.WriteString("- ")
		if len(item.fields) == 0 {
			item.writeFlow(out)
			out.WriteByte('\n')
		} else if !item.write(out, indent+2, true) {
			return false
		}
	}
	return true
}

// writeField appends what comes after a field's colon.
func (v *value) writeField(out *bytes.Buffer, indent int, oneLine bool) bool {
	switch {
	case len(v.fields)+len(v.items) == 0, oneLine && v.width() <= lineWidth:
		out.WriteByte(' ')
		v.writeFlow(out)
		out.WriteByte('\n')
		return true
	case len(v.fields) > 0:
		indent += 2
	}
	out.WriteByte('\n')
	return v.write(out, indent, false)
}

// writeFlow appends the value on one line.
func (v *value) writeFlow(out *bytes.Buffer) {
	switch {
	case len(v.fields) > 0:
		for i := range v.fields {
			out.WriteString(separator(i, "{"))
			out.WriteString(v.fields[i].key)
			out.WriteString(": ")
			v.fields[i].value.writeFlow(out)
		}
		out.WriteByte('}')
	case len(v.items) > 0:
		for i := range v.items {
			out.WriteString(separator(i, "["))
			v.items[i].writeFlow(out)
		}
		out.WriteByte(']')
	case v.flow && v.scalar == "":
		out.WriteString("{}")
	default:
		out.WriteString(v.scalar)
	}
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ", "
}

func spaces(out *bytes.Buffer, n int) {
	for range n {
		out.WriteByte(' ')
	}
}
