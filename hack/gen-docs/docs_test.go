package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const moduleRoot = "../.."

// TestExamplesAreObjects decodes every example strictly, as the API server would.
func TestExamplesAreObjects(t *testing.T) {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, g := range guardrails.All() {
		for name, example := range map[string]string{"Bad": g.Documentation.Bad, "Good": g.Documentation.Good} {
			for i, doc := range strings.Split(example, "\n---\n") {
				obj, _, err := decoder.Decode([]byte(doc), nil, nil)
				if err != nil {
					t.Errorf("%s: %s, object %d: %v", g.Slug, name, i+1, err)
					continue
				}
				if np, ok := obj.(*networkingv1.NetworkPolicy); ok {
					if _, err := netpol.Compile(np); err != nil {
						t.Errorf("%s: %s, object %d: %v", g.Slug, name, i+1, err)
					}
				}
			}
		}
	}
}

func TestEveryGuardrailIsDocumented(t *testing.T) {
	for _, g := range guardrails.All() {
		d := g.Documentation
		for name, text := range map[string]string{
			"Summary": g.Summary, "Why": d.Why, "Judged": d.Judged, "Bad": d.Bad, "Good": d.Good, "Fix": d.Fix,
		} {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no %s", g.Slug, name)
			}
		}
		if d.Bad == d.Good {
			t.Errorf("%s: Bad and Good are the same", g.Slug)
		}
	}
}

// TestDriftIsFound writes everything below a folder of its own and then spoils it.
func TestDriftIsFound(t *testing.T) {
	t.Chdir(moduleRoot)
	files, err := generate(".", guardrails.All())
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	changes, err := compare(root, files)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != len(files) {
		t.Errorf("an empty folder lacks %d files, want %d", len(changes), len(files))
	}
	if err := apply(root, changes); err != nil {
		t.Fatal(err)
	}
	if changes, err = compare(root, files); err != nil || len(changes) != 0 {
		t.Fatalf("after writing: %v %v", changes, err)
	}
	write := func(path, text string) {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("docs/guardrails/dns-cut.md", "edited by hand")
	write("docs/guardrails/gone.md", "of a guardrail that is no more")
	if changes, err = compare(root, files); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, c.String())
	}
	want := []string{"docs/guardrails/dns-cut.md is not current", "docs/guardrails/gone.md belongs to no guardrail"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := apply(root, changes); err != nil {
		t.Fatal(err)
	}
	if changes, err = compare(root, files); err != nil || len(changes) != 0 {
		t.Errorf("after mending: %v %v", changes, err)
	}
}

func TestReadmeKeepsWhatIsAround(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	for text, want := range map[string]string{
		"# Bulkhead\n\n" + tableBegin + "\nold\n" + tableEnd + "\n\nmore\n": "# Bulkhead\n\n" + tableBegin + "\nTABLE\n" + tableEnd + "\n\nmore\n",
		"no markers\n":                        "",
		tableEnd + "\n" + tableBegin + "\n":   "",
		tableBegin + "\nand nothing after it": "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := readme(path, []byte("TABLE\n"))
		if string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%q gives %q, %v; want %q", text, got, err, want)
		}
	}
}

type exampleParameters struct {
	Ranges []string      `json:"ranges"`
	Limit  exampleLimit  `json:"limit"`
	Items  []exampleItem `json:"items"`
}

type exampleLimit struct {
	Pods int `json:"pods"`
}

type exampleItem struct {
	Name string `json:"name"`
}

func TestParametersAreListed(t *testing.T) {
	at := reflect.TypeFor[exampleParameters]().PkgPath() + "."
	comments := map[string]string{
		at + "exampleParameters.Ranges": "CIDRs | lists.", at + "exampleParameters.Limit": "Bounds.",
		at + "exampleParameters.Items": "Things.", at + "exampleLimit.Pods": "How many.", at + "exampleItem.Name": "Who.",
	}
	value := exampleParameters{Ranges: []string{"10.0.0.0/8"}, Limit: exampleLimit{Pods: 3}, Items: []exampleItem{{"a"}}}
	got, err := parametersOf("", reflect.ValueOf(value), comments)
	if err != nil {
		t.Fatal(err)
	}
	want := []parameter{
		{"ranges", "list of text", "`[\"10.0.0.0/8\"]`", "CIDRs | lists."},
		{"limit", "object", "", "Bounds."},
		{"limit.pods", "number", "`3`", "How many."},
		{"items", "list of object", "see above", "Things."},
		{"items[].name", "text", "", "Who."},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	delete(comments, at+"exampleLimit.Pods")
	if _, err := parametersOf("", reflect.ValueOf(value), comments); err == nil || !strings.Contains(err.Error(), "limit.pods") {
		t.Errorf("a field without a comment: %v", err)
	}
}

// TestConfigurationParses reads back the configuration that each page shows: the defaults, spelled out.
func TestConfigurationParses(t *testing.T) {
	t.Chdir(moduleRoot)
	files, err := generate(".", guardrails.All())
	if err != nil {
		t.Fatal(err)
	}
	specs := []config.Spec{}
	for _, g := range guardrails.All() {
		specs = append(specs, g.Spec())
	}
	want := config.Default(specs).Hash()
	for _, g := range guardrails.All() {
		_, rest, _ := bytes.Cut(files[pagesDir+"/"+g.Slug+".md"], []byte("## Configuration"))
		_, rest, _ = bytes.Cut(rest, []byte("```yaml\n"))
		example, _, ok := bytes.Cut(rest, []byte("```"))
		if !ok {
			t.Errorf("%s: no example of a configuration", g.Slug)
			continue
		}
		c, err := config.Parse([]byte("apiVersion: "+config.APIVersion+"\nkind: "+config.Kind+"\n"+string(example)), specs)
		if err != nil {
			t.Errorf("%s: %v", g.Slug, err)
		} else if c.Hash() != want {
			t.Errorf("%s: what the page gives as the defaults is something else", g.Slug)
		}
	}
}
