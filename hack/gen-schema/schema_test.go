package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

const (
	header  = "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\n"
	example = "deploy/config/bulkhead.yaml"
)

type sampleParameters struct {
	Addresses []netip.Prefix `json:"addresses" jsonschema_description:"Addresses to guard."`
	Limit     int            `json:"limit" jsonschema:"minimum=1" jsonschema_description:"How many."`
}

func sampleGuardrails() []policy.Guardrail {
	return []policy.Guardrail{
		{Slug: "dns-cut", Summary: "Pods lose name resolution.", DefaultAction: config.Deny},
		{Slug: "metadata-open", Summary: "A metadata address opens.", DefaultAction: config.Warn, NewParameters: func() any {
			return &sampleParameters{Addresses: []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}, Limit: 10}
		}},
	}
}

// atRoot makes the module's root the working directory, where generate reads
// sources.
func atRoot(t *testing.T) {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
}

func compile(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(schemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

// TestSchemaAgreesWithParse: an editor and the server accept and refuse the
// same files, as far as a schema can tell.
func TestSchemaAgreesWithParse(t *testing.T) {
	atRoot(t)
	text, err := generate(sampleGuardrails())
	if err != nil {
		t.Fatal(err)
	}
	schema := compile(t, text)
	specs := policy.Specs(sampleGuardrails())
	for _, accepted := range []string{
		header,
		header + "maximumAction: Deny\nerrorAction: Warn\ndiscloseOtherNamespaces: true\ndocsURL: http://x/y\n",
		header + "exempt: {namespaces: [a], users: [b], groups: [c]}\nmetrics: {namespaceLabel: true}\n",
		header + "resolver: {service: {namespace: a, name: b}, addresses: [169.254.20.10, \"fd00::a\"]}\n",
		header + "guardrails: {dns-cut: {action: Warn}, metadata-open: {action: \"Off\", parameters: {addresses: [\"fd00::/8\"], limit: 3}}}\n",
	} {
		if err := validate(t, schema, accepted); err != nil {
			t.Errorf("the schema refuses:\n%s%v", accepted, err)
		}
		if _, err := config.Parse([]byte(accepted), specs); err != nil {
			t.Errorf("Parse refuses:\n%s%v", accepted, err)
		}
	}
	for _, refused := range []string{
		"kind: BulkheadConfig\n",
		"apiVersion: bulkhead.dev/v1\nkind: BulkheadConfig\n",
		"apiVersion: bulkhead.dev/v1alpha1\nkind: ConfigMap\n",
		header + "maximumActoin: Deny\n",
		header + "maximumAction: deny\n",
		header + "errorAction: \"Off\"\n",
		header + "docsURL: ftp://x\n",
		header + "discloseOtherNamespaces: \"true\"\n",
		header + "exempt: {users: alice}\n",
		header + "resolver: {addresses: [10.0.0.0/8]}\n",
		header + "resolver: {service: {name: b}}\n",
		header + "guardrails: {dns-cutt: {}}\n",
		header + "guardrails: {dns-cut: {parameters: {}}}\n",
		header + "guardrails: {dns-cut: {actions: Deny}}\n",
		header + "guardrails: {metadata-open: {parameters: {addresses: [10.0.0.1]}}}\n",
		header + "guardrails: {metadata-open: {parameters: {limits: 3}}}\n",
		header + "guardrails: {metadata-open: {parameters: {limit: many}}}\n",
	} {
		if validate(t, schema, refused) == nil {
			t.Errorf("the schema accepts:\n%s", refused)
		}
		if _, err := config.Parse([]byte(refused), specs); err == nil {
			t.Errorf("Parse accepts:\n%s", refused)
		}
	}
}

// TestSchemaExplainsItself: editors show descriptions and defaults.
func TestSchemaExplainsItself(t *testing.T) {
	atRoot(t)
	var root map[string]any
	for _, list := range [][]policy.Guardrail{guardrails.All(), sampleGuardrails()} {
		text, err := generate(list)
		if err != nil {
			t.Fatal(err)
		}
		root = nil
		if err := json.Unmarshal(text, &root); err != nil {
			t.Fatal(err)
		}
		requireDescriptions(t, root, "")
	}
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", root["$schema"])
	}
	for path, want := range map[string]any{
		"maximumAction":             "Warn",
		"errorAction":               "Audit",
		"docsURL":                   config.DefaultDocsURL,
		"metrics.namespaceLabel":    false,
		"guardrails.dns-cut.action": "Deny",
		"guardrails.metadata-open.parameters.limit": 10.0,
	} {
		if got := property(root, strings.Split(path, "."))["default"]; got != want {
			t.Errorf("default of %s is %v, want %v", path, got, want)
		}
	}
}

func property(schema map[string]any, path []string) map[string]any {
	for _, name := range path {
		properties, _ := schema["properties"].(map[string]any)
		schema, _ = properties[name].(map[string]any)
	}
	return schema
}

func requireDescriptions(t *testing.T, schema map[string]any, path string) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		below, ok := p.(map[string]any)
		if !ok {
			t.Errorf("%s.%s is no schema: %v", path, name, p)
			continue
		}
		if text, _ := below["description"].(string); text == "" || strings.Contains(text, "\n") {
			t.Errorf("%s.%s needs a description of one line, has %q", path, name, text)
		}
		requireDescriptions(t, below, path+"."+name)
	}
}

func TestGuardrailsCanBeConfigured(t *testing.T) {
	if err := config.CheckSpecs(policy.Specs(guardrails.All())); err != nil {
		t.Error(err)
	}
}

func TestExampleIsTheDefault(t *testing.T) {
	atRoot(t)
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	specs := policy.Specs(guardrails.All())
	c, err := config.Parse(text, specs)
	if err != nil {
		t.Fatal(err)
	}
	if want := config.Default(specs).Hash(); c.Hash() != want {
		t.Errorf("%s has hash %s, the defaults have %s", example, c.Hash(), want)
	}
	schema, err := generate(guardrails.All())
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, compile(t, schema), string(text)); err != nil {
		t.Errorf("%s against the schema: %v", example, err)
	}
}

func TestWrittenSchemaIsCurrent(t *testing.T) {
	atRoot(t)
	want, err := generate(guardrails.All())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run: go run ./hack/gen-schema", output)
	}
}
