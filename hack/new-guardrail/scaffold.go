package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/build"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// guardrailsDir is where guardrails live, from the module's root.
const guardrailsDir = "policy/guardrails"

//go:embed templates
var templates embed.FS

// maxSlug leaves room for the slug in metric labels, file names and annotation keys, in characters.
const maxSlug = 40

var slugForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// names are what a slug becomes.
type names struct {
	Slug, Var, Check, File string
}

func namesOf(slug string) (names, error) {
	if !slugForm.MatchString(slug) || len(slug) > maxSlug {
		return names{}, fmt.Errorf("slug %q: use lower-case letters, digits and single dashes between words, from a letter on, %d characters at most",
			slug, maxSlug)
	}
	camel := ""
	for _, word := range strings.Split(slug, "-") {
		camel += strings.ToUpper(word[:1]) + word[1:]
	}
	n := names{
		Slug: slug, Check: "check" + camel, Var: strings.ToLower(camel[:1]) + camel[1:],
		File: strings.ReplaceAll(slug, "-", "_") + ".go",
	}
	if token.IsKeyword(n.Var) || types.Universe.Lookup(n.Var) != nil {
		return names{}, fmt.Errorf("slug %q: %s is a word of the Go language; use two words", slug, n.Var)
	}
	if !builds(n.File) {
		return names{}, fmt.Errorf("slug %q: Go would not build %s everywhere, because of how its name ends; use another last word", slug, n.File)
	}
	return n, nil
}

// builds reports whether a file of that name is part of every build: no test, nor for one platform only.
func builds(file string) bool {
	everywhere := build.Context{
		GOOS: "none", GOARCH: "none", Compiler: "gc",
		OpenFile: func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("package guardrails\n")), nil
		},
	}
	ok, err := everywhere.MatchFile(".", file)
	return err == nil && ok && !strings.HasSuffix(file, "_test.go")
}

// scaffold writes a new guardrail into the module at root and gives the paths of what it wrote or changed, the
// guardrail's file first. It writes nothing where the slug does not serve.
func scaffold(root, slug string) ([]string, error) {
	n, err := namesOf(slug)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, guardrailsDir)
	pkg, err := readPackage(dir)
	if err != nil {
		return nil, err
	}
	if file, ok := pkg.slugs[slug]; ok {
		return nil, fmt.Errorf("guardrail %q is there already, in %s", slug, file)
	}
	for _, name := range []string{n.Var, n.Check} {
		if file, ok := pkg.declared[name]; ok {
			return nil, fmt.Errorf("slug %q: its Go name %s is taken in %s; use another slug", slug, name, file)
		}
	}
	list, err := pkg.listWith(n)
	if err != nil {
		return nil, err
	}
	fixtures := filepath.Join(dir, "testdata", slug)
	type output struct{ template, path string }
	outputs := []output{
		{"guardrail.go.tmpl", filepath.Join(dir, n.File)},
		{"allow-isolated-before.yaml.tmpl", filepath.Join(fixtures, "allow-isolated-before.yaml")},
		{"warn-newly-isolated.yaml.tmpl", filepath.Join(fixtures, "warn-newly-isolated.yaml")},
	}
	for _, path := range []string{outputs[0].path, fixtures} {
		if _, err := os.Stat(path); err == nil {
			return nil, fmt.Errorf("%s exists already; remove it or use another slug", path)
		}
	}
	if err := os.MkdirAll(fixtures, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the fixtures: %w", err)
	}
	var written []string
	for _, o := range outputs {
		text, err := render(o.template, n)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(o.path, text, 0o644); err != nil {
			return nil, fmt.Errorf("writing the guardrail: %w", err)
		}
		written = append(written, o.path)
	}
	if err := os.WriteFile(pkg.listPath, list, 0o644); err != nil {
		return nil, fmt.Errorf("adding the guardrail to the list: %w", err)
	}
	return append(written, pkg.listPath), nil
}

func render(name string, n names) ([]byte, error) {
	source, err := fs.ReadFile(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	// Other delimiters than {{ }}: Go and YAML are full of braces.
	t, err := template.New(name).Delims("<<", ">>").Parse(string(source))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, n); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
