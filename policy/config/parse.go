package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	smallestFile = "the smallest valid file is the two lines \"apiVersion: " + APIVersion + "\" and \"kind: " + Kind + "\""
	hashDigits   = 12
)

// Parse reads a configuration file for the guardrails of specs. It is strict:
// unknown fields, unknown guardrails, duplicate keys, aliases and further
// documents are errors. The error is an *Error that lists every problem.
func Parse(data []byte, specs []Spec) (*Config, error) {
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	c := defaults(specs)
	c.APIVersion, c.Kind = "", ""
	d := newDecoder(specs, root)
	d.decode(root, reflect.ValueOf(c).Elem(), nil)
	d.validate(c)
	if len(d.problems) > 0 {
		return nil, newError(d.problems, d.omitted)
	}
	if err := c.resolve(); err != nil {
		return nil, wholeFile(0, err.Error(), "")
	}
	return c, nil
}

// Default returns what a file with nothing but apiVersion and kind gives. It
// panics only on specs that CheckSpecs refuses.
func Default(specs []Spec) *Config {
	c := defaults(specs)
	if err := c.resolve(); err != nil {
		panic(err)
	}
	return c
}

func defaults(specs []Spec) *Config {
	c := &Config{
		APIVersion:    APIVersion,
		Kind:          Kind,
		MaximumAction: Warn,
		ErrorAction:   Audit,
		DocsURL:       DefaultDocsURL,
		Events:        EventsConfig{Decisions: []string{}, PerMinute: defaultEventsPerMinute},
		Guardrails:    make(map[string]GuardrailConfig, len(specs)),
	}
	for _, spec := range specs {
		g := GuardrailConfig{Action: spec.DefaultAction}
		if spec.NewParameters != nil {
			g.Parameters = spec.NewParameters()
		}
		c.Guardrails[spec.Slug] = g
	}
	return c
}

// resolve fills in what a request reads: the settings and the hash.
func (c *Config) resolve() error {
	c.settings = make(map[string]Settings, len(c.Guardrails))
	for slug, g := range c.Guardrails {
		c.settings[slug] = Settings{Action: AtMost(g.Action, c.MaximumAction), Parameters: g.Parameters}
	}
	canonical, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("the configuration has no canonical form: %w", err)
	}
	sum := sha256.Sum256(canonical)
	c.hash = hex.EncodeToString(sum[:])[:hashDigits]
	return nil
}

// document returns the mapping at the root of the file's only document.
func document(data []byte) (*yaml.Node, error) {
	if len(data) > MaxBytes {
		return nil, wholeFile(0, fmt.Sprintf("the file has more than %d bytes", MaxBytes), "shorten it")
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := reader.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, wholeFile(0, "the file is empty", smallestFile)
	} else if err != nil {
		return nil, syntaxError(err)
	}
	var next yaml.Node
	if err := reader.Decode(&next); err == nil {
		return nil, wholeFile(next.Line, "the file holds more than one YAML document", "keep one and remove the line ---")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	root := doc.Content[0]
	switch {
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		return nil, wholeFile(0, "the file is empty", smallestFile)
	case root.Kind != yaml.MappingNode:
		return nil, wholeFile(root.Line, "the file must be a mapping, but is "+describe(root), smallestFile)
	}
	return root, nil
}

// syntaxError takes the line out of the YAML library's error.
func syntaxError(err error) *Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits alone; too many of them leave the largest int
		text = text[len(m[0]):]
	}
	return wholeFile(line, "not valid YAML: "+text, "")
}

// guardrails decodes the map of guardrails, whose parameters differ in type.
func (d *decoder) guardrails(node *yaml.Node, v reflect.Value, path *field.Path) {
	if node.Kind != yaml.MappingNode {
		d.mismatch(node, path, "a mapping from guardrail to its settings")
		return
	}
	guardrails := v.Interface().(map[string]GuardrailConfig)
	var slugs []string
	for _, spec := range d.specs {
		slugs = append(slugs, spec.Slug)
	}
	for _, e := range d.entries(node, path, false) {
		i := slices.Index(slugs, e.key)
		if i < 0 {
			d.unknown(e, "guardrail", slugs)
			continue
		}
		g := guardrails[e.key]
		d.guardrail(e, &g)
		guardrails[e.key] = g
	}
}

func (d *decoder) guardrail(e entry, g *GuardrailConfig) {
	switch {
	case e.value.Kind == yaml.ScalarNode && e.value.ShortTag() == "!!null":
		return
	case e.value.Kind == yaml.AliasNode:
		d.decode(e.value, reflect.ValueOf(g).Elem(), e.path)
		return
	case e.value.Kind == yaml.ScalarNode && Action(e.value.Value).Valid():
		d.add(e.path, "must be a mapping, but is "+describe(e.value), "write {action: "+e.value.Value+"}")
		return
	case e.value.Kind != yaml.MappingNode:
		d.mismatch(e.value, e.path, "a mapping")
		return
	}
	for _, setting := range d.entries(e.value, e.path, false) {
		switch setting.key {
		case "action":
			d.decode(setting.value, reflect.ValueOf(&g.Action).Elem(), setting.path)
		case "parameters":
			if g.Parameters == nil {
				d.add(setting.path, "the guardrail "+e.key+" takes no parameters", "remove it")
				continue
			}
			d.decode(setting.value, reflect.ValueOf(g.Parameters).Elem(), setting.path)
		default:
			d.unknown(setting, "field here", fieldNames(reflect.TypeFor[GuardrailConfig]()))
		}
	}
}
