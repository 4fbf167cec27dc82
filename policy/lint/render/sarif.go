package render

import (
	"io"
	"net/url"
	"path"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
)

// The part of SARIF 2.1.0 that is written.
// Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
const (
	sarifVersion = "2.1.0"
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	// fingerprintKey names how fingerprints are made; another way needs another name.
	fingerprintKey = "bulkhead/v1"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	ColumnKind  string            `json:"columnKind"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID                   string           `json:"id"`
	ShortDescription     sarifText        `json:"shortDescription"`
	FullDescription      sarifText        `json:"fullDescription"`
	Help                 sarifText        `json:"help"`
	HelpURI              string           `json:"helpUri"`
	DefaultConfiguration sarifLevel       `json:"defaultConfiguration"`
	Properties           *sarifProperties `json:"properties,omitempty"`
}

type sarifText struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifLevel struct {
	Level string `json:"level"`
}

type sarifProperties struct {
	Tags []string `json:"tags"`
}

type sarifInvocation struct {
	ExecutionSuccessful bool                `json:"executionSuccessful"`
	Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
}

type sarifNotification struct {
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
}

type sarifResult struct {
	RuleID              string            `json:"ruleId"`
	RuleIndex           int               `json:"ruleIndex"`
	Level               string            `json:"level"`
	Message             sarifText         `json:"message"`
	Locations           []sarifLocation   `json:"locations,omitempty"`
	PartialFingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	PhysicalLocation *sarifPhysical `json:"physicalLocation,omitempty"`
	LogicalLocations []sarifLogical `json:"logicalLocations"`
}

type sarifPhysical struct {
	ArtifactLocation sarifArtifact `json:"artifactLocation"`
	Region           *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
	EndLine     int `json:"endLine,omitempty"`
	EndColumn   int `json:"endColumn,omitempty"`
}

type sarifLogical struct {
	FullyQualifiedName string `json:"fullyQualifiedName"`
	Kind               string `json:"kind"`
}

// SARIF writes the report as a SARIF 2.1.0 log with one run, for code scanning services.
func SARIF(w io.Writer, r *lint.Report, o Options) error {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "bulkhead", Version: o.Version, InformationURI: o.DocsURL, Rules: []sarifRule{}}},
		ColumnKind: "unicodeCodePoints", Results: []sarifResult{},
		Invocations: []sarifInvocation{{ExecutionSuccessful: len(r.Partial) == 0}},
	}
	for _, sentence := range r.Partial {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{"warning", sarifText{Text: sentence}})
	}
	index := map[string]int{}
	for i := range o.Guardrails {
		index[o.Guardrails[i].Slug] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, o.rule(&o.Guardrails[i]))
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		message := f.Detail
		if fix := fixText(f.Fix, "  "); fix != "" {
			message += "\n\n" + fix
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: f.Guardrail, RuleIndex: index[f.Guardrail], Level: severity(f.Action), Message: sarifText{Text: message},
			Locations: []sarifLocation{location(f)}, PartialFingerprints: map[string]string{fingerprintKey: f.Fingerprint},
		})
	}
	return encode(w, sarifLog{sarifSchema, sarifVersion, []sarifRun{run}})
}

// rule describes a guardrail.
func (o *Options) rule(g *policy.Guardrail) sarifRule {
	d := &g.Documentation
	level := map[config.Action]string{config.Deny: "error", config.Warn: "warning", config.Audit: "note", config.Off: "none"}[g.DefaultAction]
	help := strings.TrimSpace(d.Why) + "\n\n" + strings.TrimSpace(d.Fix)
	yaml := func(s string) string { return "```yaml\n" + strings.TrimSpace(s) + "\n```\n" }
	markdown := strings.TrimSpace(d.Why) + "\n\n## What is judged\n\n" + strings.TrimSpace(d.Judged) +
		"\n\n## Example\n\nViolates it:\n\n" + yaml(d.Bad) + "\nDoes not:\n\n" + yaml(d.Good) + "\n## What to do\n\n" + strings.TrimSpace(d.Fix) + "\n"
	return sarifRule{
		ID: g.Slug, ShortDescription: sarifText{Text: g.Summary}, FullDescription: sarifText{Text: strings.TrimSpace(d.Why)},
		Help: sarifText{Text: help, Markdown: markdown}, HelpURI: o.docs(g.Slug), DefaultConfiguration: sarifLevel{level},
		Properties: &sarifProperties{Tags: []string{"kubernetes", "networkpolicy"}},
	}
}

func location(f *lint.Finding) sarifLocation {
	out := sarifLocation{LogicalLocations: []sarifLogical{{f.Object.String(), "resource"}}}
	file := fileOf(f)
	if file == "" {
		return out
	}
	uri := url.URL{Path: path.Clean(file)}
	if path.IsAbs(file) {
		uri.Scheme = "file"
	}
	out.PhysicalLocation = &sarifPhysical{ArtifactLocation: sarifArtifact{uri.String()}}
	if g := f.Region; g.Line > 0 {
		out.PhysicalLocation.Region = &sarifRegion{g.Line, g.Column, g.EndLine, g.EndColumn}
	}
	return out
}
