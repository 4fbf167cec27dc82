package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	deployed "github.com/bulkhead-dev/bulkhead/deploy/config"
	"github.com/bulkhead-dev/bulkhead/policy"
)

// parameter is one setting of a guardrail.
type parameter struct{ path, kind, value, text string }

// settingSchema is the part of a JSON Schema that tells what a setting is.
type settingSchema struct {
	Type        string                   `json:"type"`
	Description string                   `json:"description"`
	Properties  map[string]settingSchema `json:"properties"`
	Items       *settingSchema           `json:"items"`
}

// parametersOf lists a guardrail's parameters, sorted by path: names and defaults are those of its Go type, the words those
// of the config file's settingSchema, which is generated from that type's comments.
func parametersOf(g *policy.Guardrail) ([]parameter, error) {
	if g.NewParameters == nil {
		return nil, nil
	}
	var root settingSchema
	if err := json.Unmarshal(deployed.Schema, &root); err != nil {
		return nil, fmt.Errorf("the schema of the config file: %w", err)
	}
	data, err := json.Marshal(g.NewParameters())
	if err != nil {
		return nil, fmt.Errorf("the parameters of %s: %w", g.Slug, err)
	}
	var defaults map[string]json.RawMessage
	if err := json.Unmarshal(data, &defaults); err != nil {
		return nil, fmt.Errorf("the parameters of %s: %w", g.Slug, err)
	}
	return below("", root.Properties["guardrails"].Properties[g.Slug].Properties["parameters"], defaults), nil
}

// below lists the settings of an object and of the objects in it. defaults holds its values; nil within a list.
func below(prefix string, s settingSchema, defaults map[string]json.RawMessage) []parameter {
	names := slices.Sorted(maps.Keys(s.Properties))
	for name := range defaults {
		if _, ok := s.Properties[name]; !ok {
			names = append(names, name) // the schema is older than the guardrail
		}
	}
	slices.Sort(names)
	var out []parameter
	for _, name := range names {
		field := s.Properties[name]
		p := parameter{path: prefix + name, kind: kindOf(field), text: field.Description}
		var inner map[string]json.RawMessage
		switch {
		case len(field.Properties) > 0:
			if json.Unmarshal(defaults[name], &inner) != nil {
				inner = nil // the default is no object: null
			}
		case defaults != nil:
			if p.value = string(defaults[name]); p.value == "null" { // how JSON writes a list or object without a value
				p.value = "none"
			}
		}
		out = append(out, p)
		out = append(out, below(p.path+".", settingSchema{Properties: field.Properties}, inner)...)
		if field.Items != nil {
			out = append(out, below(p.path+"[].", settingSchema{Properties: field.Items.Properties}, nil)...)
		}
	}
	return out
}

// kindOf names a type in the words of people who write configuration.
func kindOf(s settingSchema) string {
	switch {
	case s.Type == "array" && s.Items != nil:
		return "list of " + kindOf(*s.Items)
	case s.Type == "string":
		return "text"
	case s.Type == "boolean":
		return "true or false"
	case s.Type == "integer" || s.Type == "number":
		return "number"
	}
	return "object"
}
