package lint

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// Bounds of a report.
const (
	maxExcerpt  = 5   // lines that a finding quotes
	fixesEach   = 5   // fixes of one object that are tried, as many as the webhook tries
	fixesInAll  = 200 // fixes of all objects that are tried; each runs the object's guardrails once more
	fingerprint = 16  // bytes of a fingerprint
)

// report makes the report of what was said about the objects.
func (j *judge) report() *Report {
	r := &Report{Partial: slices.Sorted(maps.Keys(j.failures))}
	slices.SortStableFunc(j.outcomes, func(a, b *outcome) int { return compareObjects(a.object, b.object) })
	shown := make([]*outcome, 0, len(j.outcomes))
	for _, o := range j.outcomes {
		// What is said again, or of the cluster as a whole, comes beside the rest.
		if n := len(r.Judged); !o.again && (n == 0 || r.Judged[n-1] != o.object) {
			r.Judged = append(r.Judged, o.object)
		}
		prints := fingerprints(o)
		reported := false
		for i := range o.findings {
			r.All = append(r.All, o.finding(i, prints[i]))
			if j.Accepted[prints[i]] {
				r.Accepted++
			} else {
				reported = true
			}
		}
		if reported {
			shown = append(shown, o)
		}
	}
	fixes := j.tryFixes(shown)
	for _, o := range shown {
		prints := fingerprints(o)
		for i := range o.findings {
			if !j.Accepted[prints[i]] {
				f := o.finding(i, prints[i])
				f.Fix = fixes[prints[i]]
				r.Findings = append(r.Findings, f)
			}
		}
	}
	slices.SortStableFunc(r.Findings, compareFindings)
	if j.stopped {
		r.Partial = append(r.Partial, fmt.Sprintf("stopped after %d of %d objects: %v", min(j.done, j.total), j.total, context.Cause(j.ctx)))
	}
	return r
}

func compareFindings(a, b Finding) int {
	return cmp.Or(strings.Compare(a.Object.Source.File, b.Object.Source.File), cmp.Compare(a.Region.Line, b.Region.Line),
		cmp.Compare(a.Region.Column, b.Region.Column), compareObjects(a.Object, b.Object),
		cmp.Compare(b.Action.Rank(), a.Action.Rank()), strings.Compare(a.Guardrail, b.Guardrail), strings.Compare(a.Detail, b.Detail))
}

// finding gives the i-th finding with its place.
func (o *outcome) finding(i int, print string) Finding {
	f := Finding{Finding: o.findings[i], Operation: o.change.Operation, Object: o.object, Fingerprint: print}
	if r, ok := o.object.Region(f.Field); ok {
		f.Region = r
		f.Excerpt = o.object.Lines(r.Line, min(r.EndLine, r.Line+maxExcerpt-1))
	}
	return f
}

// fingerprints identifies the findings of one object. A guardrail may find several things in one field; those are
// counted in the order in which decisions list them.
func fingerprints(o *outcome) []string {
	seen := map[string]int{}
	var out []string
	for i := range o.findings {
		id := strings.Join([]string{o.findings[i].Guardrail, o.object.Kind, o.object.Namespace, o.object.Name, o.findings[i].Field}, "\x00")
		if seen[id]++; seen[id] > 1 {
			id += fmt.Sprintf("\x00%d", seen[id])
		}
		sum := sha256.Sum256([]byte(id))
		out = append(out, hex.EncodeToString(sum[:fingerprint]))
	}
	return out
}

// tryFixes gives the fixes that hold, by fingerprint, of the worst objects first until the bound is reached.
func (j *judge) tryFixes(outcomes []*outcome) map[string]*policy.Fix {
	out := map[string]*policy.Fix{}
	left := fixesInAll
	sorted := slices.Clone(outcomes)
	slices.SortStableFunc(sorted, func(a, b *outcome) int { return cmp.Compare(b.worst, a.worst) })
	for _, o := range sorted {
		results := keepFixes(o.results, min(fixesEach, left))
		tried := 0
		for i := range results {
			for k := range results[i].Violations {
				if results[i].Violations[k].Fix != nil {
					tried++
				}
			}
		}
		if tried == 0 || j.ctx.Err() != nil {
			continue
		}
		left -= tried
		again := *o
		again.keep(policy.Decide(j.Config, o.change, results).Findings)
		for i, print := range fingerprints(&again) {
			out[print] = again.findings[i].Fix
		}
	}
	return out
}

// keepFixes copies the results with at most most fixes.
func keepFixes(results []policy.Result, most int) []policy.Result {
	out := slices.Clone(results)
	for i := range out {
		out[i].Violations = slices.Clone(out[i].Violations)
		for k := range out[i].Violations {
			if v := &out[i].Violations[k]; v.Fix != nil {
				if most--; most < 0 {
					v.Fix = nil
				}
			}
		}
	}
	return out
}
