package main

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/bulkhead-dev/bulkhead/hack/internal/fieldcomments"
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

const (
	modulePath = "github.com/bulkhead-dev/bulkhead"
	schemaID   = "https://bulkhead.dev/schema/v1alpha1/bulkheadconfig.schema.json"
)

// generate returns the JSON Schema (draft 2020-12) of the configuration file
// for these guardrails. It reads Go sources, so the working directory must be
// the module's root.
func generate(guardrails []policy.Guardrail) ([]byte, error) {
	comments, err := fieldcomments.Read(modulePath, []string{"policy/config", "policy/guardrails"})
	if err != nil {
		return nil, err
	}
	reflector := &jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, RequiredFromJSONSchemaTags: true,
		Mapper: mapType, CommentMap: comments,
	}
	root := reflector.Reflect(&config.Config{})
	root.ID, root.Title = schemaID, config.Kind
	root.Description = "The configuration of Bulkhead, an admission webhook that judges the network effect of changes."
	withoutErrorOff(root)
	if err := setDefaults(root, config.Default(nil)); err != nil {
		return nil, err
	}
	if err := describeGuardrails(reflector, root, guardrails); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// mapType describes the types whose form in the file is not that of their Go
// kind. It makes a new schema on each call, for the caller changes it.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[config.Action]():
		return &jsonschema.Schema{Type: "string", Enum: actions(config.Actions())}
	case t == reflect.TypeFor[netip.Addr]():
		return &jsonschema.Schema{Type: "string", AnyOf: []*jsonschema.Schema{{Format: "ipv4"}, {Format: "ipv6"}}}
	case t == reflect.TypeFor[netip.Prefix]():
		return &jsonschema.Schema{Type: "string", Pattern: "^[0-9a-fA-F:.]+/[0-9]+$"}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	default:
		return nil
	}
}

func actions(list []config.Action) []any {
	var out []any
	for _, a := range list {
		out = append(out, string(a))
	}
	return out
}

// withoutErrorOff takes Off from errorAction, which Parse refuses.
func withoutErrorOff(root *jsonschema.Schema) {
	if s, ok := root.Properties.Get("errorAction"); ok {
		s.Enum = actions([]config.Action{config.Deny, config.Warn, config.Audit})
	}
}

// describeGuardrails puts one property for each guardrail in the place of the
// map that the Go type is.
func describeGuardrails(reflector *jsonschema.Reflector, root *jsonschema.Schema, guardrails []policy.Guardrail) error {
	all, ok := root.Properties.Get("guardrails")
	if !ok {
		return fmt.Errorf("%s has no field guardrails", config.Kind)
	}
	all.AdditionalProperties = jsonschema.FalseSchema
	all.Properties = jsonschema.NewProperties()
	for i := range guardrails {
		g := &guardrails[i]
		s := reflector.Reflect(&config.GuardrailConfig{})
		s.Version, s.Description = "", g.Summary
		if action, ok := s.Properties.Get("action"); ok {
			action.Default = g.DefaultAction
		}
		s.Properties.Delete("parameters")
		if g.NewParameters != nil {
			defaults := g.NewParameters()
			parameters := reflector.Reflect(defaults)
			parameters.Version, parameters.Description = "", "The parameters of "+g.Slug+"."
			if err := setDefaults(parameters, defaults); err != nil {
				return fmt.Errorf("guardrail %s: %w", g.Slug, err)
			}
			s.Properties.Set("parameters", parameters)
		}
		all.Properties.Set(g.Slug, s)
	}
	return nil
}

// setDefaults notes the values of defaults, a pointer to a struct, in the
// schema of its type.
func setDefaults(s *jsonschema.Schema, defaults any) error {
	text, err := json.Marshal(defaults)
	if err != nil {
		return fmt.Errorf("writing the defaults: %w", err)
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("reading the defaults: %w", err)
	}
	fillDefaults(s, values)
	return nil
}

func fillDefaults(s *jsonschema.Schema, values map[string]any) {
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		value := values[p.Key]
		below, isObject := value.(map[string]any)
		switch {
		case value == nil || required[p.Key]:
		case isObject && p.Value.Properties != nil:
			fillDefaults(p.Value, below)
		case isObject && len(below) == 0:
			// A free map without entries says nothing.
		default:
			p.Value.Default = value
		}
	}
}
