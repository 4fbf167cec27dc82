// Package html writes the report of an audit as one page that needs nothing but a browser: no server, no network. It says first
// what a manager asks, how far the cluster is from one in which nothing is reachable that was not meant to be, and then what an
// engineer needs to change it.
//
// The charts are drawn here and not in the browser. The page works without scripts; its own only sorts and filters. Names come
// from objects that anybody may have written, so they are only ever text, without what could turn a line's direction.
package html

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"html/template"
	"io"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
)

// Meta says about a report what the report itself does not.
type Meta struct {
	// Title is the name of the cluster; empty is a report of no cluster in particular.
	Title string
	// Time is when the cluster was as the report says, in the words to show; empty shows none.
	Time string
	// Version is Bulkhead's; empty shows none.
	Version string
	// Took says how long the audit took, in the words to show; empty shows nothing.
	Took string
	// DocsURL is where the pages of the guardrails are: a guardrail's slug is appended after a slash. Empty makes no links.
	DocsURL string
}

//go:embed page.html
var pageText string

//go:embed parts.html
var partsText string

//go:embed style.css
var style string

//go:embed table.js
var script string

// Templates gives the parts that the page is made of: "tiles", "posture", "actions", "objects", "finding" and "key". The console
// builds its pages of them, too.
func Templates() (*template.Template, error) {
	return template.New("parts").Funcs(Funcs()).Parse(partsText)
}

// Style is the stylesheet of the page: colours for light and dark, tables, charts and labels. The console has it too, so that
// both look alike.
func Style() string { return style }

// Script sorts and filters the tables of the page. The console has it too.
func Script() string { return script }

// Write writes the report as one HTML page. The same report and the same meta give the same bytes. The only errors are those
// of w.
func Write(w io.Writer, r *audit.Report, m Meta) error {
	page, err := Templates()
	if err == nil {
		page, err = page.New("page").Parse(pageText)
	}
	if err != nil {
		return err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{
		"Meta":    m,
		"Report":  Summarize(r),
		"Policy":  securityPolicy(),
		"Style":   template.CSS(style), // our own file
		"Script":  template.JS(script), // our own file
		"Columns": columns(),
	})
	if err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}

// securityPolicy lets the page use its own style and script and nothing else. Source: Content Security Policy Level 3,
// hash-source.
func securityPolicy() string {
	return "default-src 'none'; style-src " + hashSource(style) + "; script-src " + hashSource(script) +
		"; base-uri 'none'; form-action 'none'"
}

func hashSource(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
