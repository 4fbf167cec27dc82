package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// completeSchema fills a values.schema.json: descriptions and defaults come from values.yaml, and the schema of the value config
// from that of the BulkheadConfig. What a value may be stays as it is written there. It fails where one file knows a value that
// the other does not.
func completeSchema(schema, configSchema []byte, values []value) ([]byte, error) {
	var root, cfg map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		return nil, fmt.Errorf("values.schema.json: %w", err)
	}
	if err := json.Unmarshal(configSchema, &cfg); err != nil {
		return nil, fmt.Errorf("the schema of the config: %w", err)
	}
	properties(root)["config"] = asValue(cfg)
	known := map[string]bool{"global": true}
	for _, v := range values {
		s, err := schemaOf(root, v)
		if err != nil {
			return nil, err
		}
		known[v.name()] = true
		if v.comment != "" {
			s["description"] = v.comment
		}
		if v.leaf {
			s["default"] = v.fallback
		}
	}
	if err := checkKnown(root, "", values, known); err != nil {
		return nil, err
	}
	properties(root)["global"] = map[string]any{"type": "object", "description": "What Helm passes to charts within charts; not read."}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(root)
	return out.Bytes(), err
}

func properties(schema map[string]any) map[string]any {
	p, _ := schema["properties"].(map[string]any)
	return p
}

func schemaOf(root map[string]any, v value) (map[string]any, error) {
	s := root
	for _, key := range v.path {
		below, ok := properties(s)[key].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("values.schema.json has no property for the value %s; say there what it may be", v.name())
		}
		s = below
	}
	return s, nil
}

// checkKnown finds properties that values.yaml lacks. What is below a leaf, such as config, is not looked at.
func checkKnown(schema map[string]any, prefix string, values []value, known map[string]bool) error {
	for _, key := range slices.Sorted(maps.Keys(properties(schema))) {
		below, name := properties(schema)[key], prefix+key
		if !known[name] {
			return fmt.Errorf("values.schema.json has the property %s, which values.yaml lacks", name)
		}
		if slices.ContainsFunc(values, func(v value) bool { return v.name() == name && !v.leaf }) {
			if err := checkKnown(below.(map[string]any), name+".", values, known); err != nil {
				return err
			}
		}
	}
	return nil
}

// asValue turns the schema of the config's file into that of the value: apiVersion and kind may be left out, and an unquoted Off,
// which Helm reads as false, is an action.
func asValue(schema map[string]any) map[string]any {
	for _, key := range []string{"$schema", "$id", "title", "required"} {
		delete(schema, key)
	}
	allowFalse(schema)
	return schema
}

// allowFalse lets false be wherever Off may.
func allowFalse(schema map[string]any) {
	if enum, ok := schema["enum"].([]any); ok && slices.Contains(enum, any("Off")) {
		schema["enum"] = append(enum, false)
		delete(schema, "type")
	}
	for _, below := range properties(schema) {
		if s, ok := below.(map[string]any); ok {
			allowFalse(s)
		}
	}
}
