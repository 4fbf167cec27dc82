package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// typeProblem reports a value of the wrong type at its line.
func (p *part) typeProblem(err error) {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		p.bad("", printable(err.Error()))
		return
	}
	path := pathAt(p.json, wrong.Offset)
	if b := bare(path); b != wrong.Field && !strings.HasPrefix(b, wrong.Field+".") {
		path = wrong.Field // the offset is one within a value that decodes itself
	}
	message := fmt.Sprintf("has to be %s, but is %s", wanted(wrong.Type), found(wrong.Value))
	if path != "" {
		message = path + ": " + message
	}
	if wrong.Type.Kind() == reflect.String && (wrong.Value == "bool" || strings.HasPrefix(wrong.Value, "number")) {
		message += "; put it in quotes"
	}
	p.bad(path, message)
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "a whole number"
	}
	return "a mapping"
}

// found says what the JSON decoder calls a value in the words of YAML.
func found(value string) string {
	switch value {
	case "bool":
		return "a boolean (unquoted, y, n, yes, no, on and off are booleans too)"
	case "string":
		return "a string"
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "number":
		return "a number"
	}
	return value
}

// pathAt gives the path of the value that ends at offset of the JSON text.
func pathAt(text []byte, offset int64) string {
	reader := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		list  bool
		index int
		key   string
		isKey bool // the next text is a key
	}
	var stack []level
	path := func() string {
		var b strings.Builder
		for _, l := range stack {
			switch {
			case l.list:
				fmt.Fprintf(&b, "[%d]", l.index)
			case b.Len() > 0:
				b.WriteString("." + l.key)
			default:
				b.WriteString(l.key)
			}
		}
		return b.String()
	}
	done := func() { // a value is complete
		if n := len(stack); n > 0 && stack[n-1].list {
			stack[n-1].index++
		} else if n > 0 {
			stack[n-1].isKey = true
		}
	}
	for {
		token, err := reader.Token()
		if err != nil {
			return ""
		}
		if n := len(stack); n > 0 && !stack[n-1].list && stack[n-1].isKey {
			if s, ok := token.(string); ok {
				stack[n-1].key, stack[n-1].isKey = s, false
				continue
			}
		}
		if reader.InputOffset() >= offset && token != json.Delim('}') && token != json.Delim(']') {
			return path()
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{isKey: true})
		case json.Delim('['):
			stack = append(stack, level{list: true})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
			if reader.InputOffset() >= offset {
				return path()
			}
			done()
		default:
			done()
		}
	}
}

// bare takes the list indexes out of a path, as the decoder's own paths are.
func bare(path string) string {
	var b strings.Builder
	for path != "" {
		before, after, ok := strings.Cut(path, "[")
		b.WriteString(before)
		if !ok {
			break
		}
		_, path, _ = strings.Cut(after, "]")
	}
	return b.String()
}
