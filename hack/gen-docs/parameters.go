package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/hack/internal/fieldcomments"
	"github.com/bulkhead-dev/bulkhead/policy"
)

// parameterComments reads what the parameter structs say of their fields.
func parameterComments() (map[string]string, error) {
	return fieldcomments.Read("github.com/bulkhead-dev/bulkhead", []string{"policy/guardrails"})
}

// parameter is one line of the table of parameters.
type parameter struct {
	path, kind, value, text string
}

// configuration tells how to set the guardrail's action and parameters.
func configuration(b *bytes.Buffer, g *policy.Guardrail, comments map[string]string) error {
	settings := map[string]any{"action": g.DefaultAction}
	text := "These lines of the configuration file are the defaults. `action` is `Deny`, `Warn`, `Audit` or `Off`.\n\n"
	var lines []parameter
	if g.NewParameters != nil {
		defaults := reflect.ValueOf(g.NewParameters()).Elem()
		settings["parameters"] = defaults.Interface()
		var err error
		if lines, err = parametersOf("", defaults, comments); err != nil {
			return err
		}
	}
	example, err := yaml.Marshal(map[string]any{"guardrails": map[string]any{g.Slug: settings}})
	if err != nil {
		return fmt.Errorf("writing the defaults: %w", err)
	}
	text += fence(string(example))
	if len(lines) > 0 {
		text += "\n| Parameter | Type | Default | Meaning |\n|---|---|---|---|\n"
		for _, l := range lines {
			text += fmt.Sprintf("| `%s` | %s | %s | %s |\n", l.path, l.kind, l.value, strings.ReplaceAll(l.text, "|", `\|`))
		}
	}
	section(b, "Configuration", text)
	return nil
}

// parametersOf lists the fields of a struct and of the structs within, by their names in the file. A field without a
// comment is an error: its page would not say what it does.
func parametersOf(prefix string, v reflect.Value, comments map[string]string) ([]parameter, error) {
	t := v.Type()
	var out []parameter
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := parameter{path: prefix + name, kind: kindOf(f.Type), text: comments[t.PkgPath()+"."+t.Name()+"."+f.Name]}
		if p.text == "" {
			return nil, fmt.Errorf("parameter %s: give the field %s.%s a comment", p.path, t.Name(), f.Name)
		}
		within, list := f.Type, false
		for within.Kind() == reflect.Slice || within.Kind() == reflect.Pointer {
			list = list || within.Kind() == reflect.Slice
			within = within.Elem()
		}
		nested := within.Kind() == reflect.Struct && !isText(within)
		switch {
		case list && nested:
			p.value = "see above"
		case !nested:
			data, err := json.Marshal(v.Field(i).Interface())
			if err != nil {
				return nil, fmt.Errorf("parameter %s: %w", p.path, err)
			}
			p.value = "`" + string(data) + "`"
		}
		if strings.Contains(prefix, "[]") {
			p.value = "" // the zero value of a list's item is no default
		}
		out = append(out, p)
		if !nested {
			continue
		}
		at, sub := p.path+".", reflect.Zero(within)
		if list {
			at = p.path + "[]."
		} else if f.Type.Kind() == reflect.Struct {
			sub = v.Field(i)
		}
		below, err := parametersOf(at, sub, comments)
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	return out, nil
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// kindOf names a type in the words of people who write configuration.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[netip.Addr]():
		return "IP address"
	case t == reflect.TypeFor[netip.Prefix]():
		return "CIDR"
	case isText(t) || t.Kind() == reflect.String:
		return "text"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + kindOf(t.Elem())
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Map:
		return "map to " + kindOf(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Struct:
		return "object"
	}
	return "number"
}
