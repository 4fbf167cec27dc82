// Package render writes what an audit found as a table for people and as JSON for programs. Each is the same bytes for the same
// report. Package openreports writes Kubernetes objects, package html a page.
package render

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Options say what is told beside the findings.
type Options struct {
	// DocsURL is where the guardrails' pages are.
	DocsURL string
	// Namespace is the only one that is shown, with all of its findings; empty shows all namespaces.
	Namespace string
	// Paint colours text of the table, nil for none.
	Paint func(text string, s Style) string
}

// Style is what a piece of text is in the table.
type Style int

// The styles.
const (
	Title Style = iota
	Denied
	Warned
	Counted
	Quiet
)

func (o *Options) docs(slug string) string { return strings.TrimSuffix(o.DocsURL, "/") + "/" + slug }

func (o *Options) paint(text string, s Style) string {
	if o.Paint == nil {
		return text
	}
	return o.Paint(text, s)
}

// shows reports whether the namespace is to be shown.
func (o *Options) shows(name string) bool { return o.Namespace == "" || o.Namespace == name }

// tally counts findings.
type tally struct{ Deny, Warn, Audit, WouldDeny int }

func (t *tally) add(f *audit.Finding) {
	switch f.Action {
	case config.Deny:
		t.Deny++
	case config.Warn:
		t.Warn++
	default:
		t.Audit++
	}
	if f.WouldDeny {
		t.WouldDeny++
	}
}

func (t *tally) total() int { return t.Deny + t.Warn + t.Audit }

// totals are a report in numbers.
type totals struct {
	tally
	namespaces, exempt int
	// denies counts the namespaces that deny by default, by netpol.Direction; both those that do in both.
	denies [2]int
	both   int
	// posture is the sum of all namespaces'.
	posture    audit.Posture
	guardrails map[string]*tally
	byName     map[string]*tally // by namespace
	failures   int
}

// count adds up what is shown of the report.
func count(r *audit.Report, o *Options) *totals {
	t := &totals{guardrails: map[string]*tally{}, byName: map[string]*tally{}}
	for i := range r.Namespaces {
		if n := &r.Namespaces[i]; o.shows(n.Name) {
			t.namespace(n)
		}
	}
	for i := range r.Cluster {
		t.finding(&r.Cluster[i])
	}
	return t
}

func (t *totals) namespace(n *audit.Namespace) {
	t.namespaces++
	if n.Exempt {
		t.exempt++
	}
	p, sum := &n.Posture, &t.posture
	sum.Policies, sum.Pods, sum.Ungoverned = sum.Policies+p.Policies, sum.Pods+p.Pods, sum.Ungoverned+p.Ungoverned
	sum.WithoutDNS += p.WithoutDNS
	for _, name := range p.SelectNothing {
		sum.SelectNothing = append(sum.SelectNothing, n.Name+"/"+name)
	}
	for _, d := range netpol.Directions {
		sum.Isolated[d] += p.Isolated[d]
		if p.Covered(d) {
			t.denies[d]++
		}
	}
	if p.DefaultDeny == [2]bool{true, true} {
		t.both++
	}
	t.failures += len(n.Failures)
	for i := range n.Findings {
		t.finding(&n.Findings[i])
		of(t.byName, n.Name).add(&n.Findings[i])
	}
}

func (t *totals) finding(f *audit.Finding) {
	t.add(f)
	of(t.guardrails, f.Guardrail).add(f)
}

func of(tallies map[string]*tally, name string) *tally {
	if tallies[name] == nil {
		tallies[name] = &tally{}
	}
	return tallies[name]
}

// printable replaces what would not print, so that no object can rewrite what a terminal shows.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return '\u00b7'
	}, s)
}
