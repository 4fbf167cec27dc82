// Package render writes the report of a lint in the formats that people and machines read. Each is the same bytes for the
// same report.
package render

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
)

// Options say what the formats tell beside the findings.
type Options struct {
	// Guardrails are those that there are; SARIF describes them.
	Guardrails []policy.Guardrail
	// DocsURL is where the guardrails' pages are.
	DocsURL string
	// Version of Bulkhead.
	Version string
	// FailOn is the least strict action that makes the lint fail; Off where none does. JUnit counts failures by it.
	FailOn config.Action
	// Paint colours text of the text format, nil for none.
	Paint func(text string, s Style) string
}

// Style is what a piece of text is in the text format.
type Style int

// The styles.
const (
	Error Style = iota
	Warning
	Place
	Gutter
	Remedy
)

func (o *Options) docs(slug string) string { return strings.TrimSuffix(o.DocsURL, "/") + "/" + slug }

// severity is the action in the words of compilers.
func severity(a config.Action) string {
	if a == config.Deny {
		return "error"
	}
	return "warning"
}

// fileOf gives the file of a finding with slashes, which is how reports name files on all systems; empty for an object of
// a live cluster.
func fileOf(f *lint.Finding) string { return filepath.ToSlash(f.Object.Source.File) }

// affected lists workloads as "api (3 pods), deployment/web, +2 more".
func affected(list []policy.Affected) string {
	const most = 5
	var out []string
	for i, a := range list {
		if i == most {
			out = append(out, fmt.Sprintf("+%d more", len(list)-i))
			break
		}
		name := a.Name
		if a.Pods > 0 {
			name += " (" + policy.Plural(a.Pods, "pod") + ")"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

// fixText writes a fix as text, its YAML indented; empty for none.
func fixText(f *policy.Fix, indent string) string {
	if f == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(printable(f.Say))
	if f.YAML != "" {
		for _, line := range strings.Split(strings.TrimRight(f.YAML, "\n"), "\n") {
			b.WriteString("\n" + indent + printable(line))
		}
	}
	return b.String()
}

// summary counts what was found: "1 error, 2 warnings; 7 objects judged".
func summary(r *lint.Report) string {
	text := fmt.Sprintf("%s, %s; %s judged", policy.Plural(r.Count(config.Deny), "error"), policy.Plural(r.Count(config.Warn), "warning"),
		policy.Plural(len(r.Judged), "object"))
	if r.Accepted > 0 {
		text += fmt.Sprintf(" (%d accepted by the baseline)", r.Accepted)
	}
	return text
}

// printable replaces what would not print, so that no manifest can rewrite what a terminal shows. Tabs stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '\u00b7'
	}, s)
}
