package render

import (
	"encoding/json"
	"io"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
)

// jsonVersion changes when a field's meaning does. New fields do not change it.
const jsonVersion = 1

type jsonReport struct {
	Version    int           `json:"version"`
	Summary    jsonSummary   `json:"summary"`
	Findings   []jsonFinding `json:"findings"`
	Incomplete []string      `json:"incomplete"`
}

type jsonSummary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Accepted int `json:"accepted"`
	Judged   int `json:"judged"`
}

type jsonFinding struct {
	Severity      string         `json:"severity"`
	Guardrail     string         `json:"guardrail"`
	Detail        string         `json:"detail"`
	Operation     string         `json:"operation"`
	Object        jsonObject     `json:"object"`
	Field         string         `json:"field"`
	File          string         `json:"file"`
	Line          int            `json:"line"`
	Column        int            `json:"column"`
	EndLine       int            `json:"endLine"`
	EndColumn     int            `json:"endColumn"`
	Affected      []jsonAffected `json:"affected"`
	Fix           *jsonFix       `json:"fix"`
	Fingerprint   string         `json:"fingerprint"`
	Documentation string         `json:"documentation"`
}

type jsonObject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type jsonAffected struct {
	Name string `json:"name"`
	Pods int    `json:"pods"`
}

type jsonFix struct {
	Say  string `json:"say"`
	YAML string `json:"yaml"`
}

// JSON writes the report for programs; docs/lint.md documents the fields.
func JSON(w io.Writer, r *lint.Report, o Options) error {
	out := jsonReport{
		Version:  jsonVersion,
		Summary:  jsonSummary{r.Count(config.Deny), r.Count(config.Warn), r.Accepted, len(r.Judged)},
		Findings: []jsonFinding{}, Incomplete: append([]string{}, r.Partial...),
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		out.Findings = append(out.Findings, jsonFinding{
			Severity: severity(f.Action), Guardrail: f.Guardrail, Detail: f.Detail, Operation: string(f.Operation),
			Object: jsonObject{f.Object.Kind, f.Object.Namespace, f.Object.Name}, Field: f.Field,
			File: fileOf(f), Line: f.Region.Line, Column: f.Region.Column, EndLine: f.Region.EndLine, EndColumn: f.Region.EndColumn,
			Affected: jsonAffects(f.Affected), Fix: jsonFixOf(f.Fix), Fingerprint: f.Fingerprint, Documentation: o.docs(f.Guardrail),
		})
	}
	return encode(w, out)
}

func jsonAffects(list []policy.Affected) []jsonAffected {
	out := make([]jsonAffected, 0, len(list))
	for _, a := range list {
		out = append(out, jsonAffected(a))
	}
	return out
}

func jsonFixOf(f *policy.Fix) *jsonFix {
	if f == nil {
		return nil
	}
	return &jsonFix{f.Say, f.YAML}
}

// encode writes JSON for people's eyes too: indented, and with <, > and & as they are.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
