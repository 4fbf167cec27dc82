package render

import (
	"encoding/json"
	"io"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// jsonVersion changes when a field's meaning does. New fields do not change it.
const jsonVersion = 1

type jsonReport struct {
	Version    int             `json:"version"`
	Summary    jsonSummary     `json:"summary"`
	Guardrails []jsonTally     `json:"guardrails"`
	Namespaces []jsonNamespace `json:"namespaces"`
	Cluster    []jsonFinding   `json:"cluster"`
	Incomplete []string        `json:"incomplete"`
}

type jsonSummary struct {
	Namespaces  int            `json:"namespaces"`
	Exempt      int            `json:"exempt"`
	DefaultDeny jsonDirections `json:"defaultDeny"`
	Both        int            `json:"defaultDenyBoth"`
	Posture     jsonPosture    `json:"posture"`
	Findings    jsonActions    `json:"findings"`
	Failures    int            `json:"failures"`
}

type jsonDirections struct {
	Ingress int `json:"ingress"`
	Egress  int `json:"egress"`
}

type jsonActions struct {
	Deny      int `json:"deny"`
	Warn      int `json:"warn"`
	Audit     int `json:"audit"`
	WouldDeny int `json:"wouldDeny"`
}

type jsonTally struct {
	Guardrail string `json:"guardrail"`
	jsonActions
	Documentation string `json:"documentation"`
}

type jsonPosture struct {
	Policies      int            `json:"policies"`
	Pods          int            `json:"pods"`
	Ungoverned    int            `json:"ungoverned"`
	Isolated      jsonDirections `json:"isolated"`
	WithoutDNS    int            `json:"withoutDNS"`
	SelectNothing []string       `json:"selectNothing"`
}

type jsonNamespace struct {
	Name        string        `json:"name"`
	Exempt      bool          `json:"exempt"`
	DefaultDeny jsonDenies    `json:"defaultDeny"`
	Posture     jsonPosture   `json:"posture"`
	Findings    []jsonFinding `json:"findings"`
	Failures    []string      `json:"failures"`
	Unjudged    []string      `json:"unjudged"`
}

type jsonDenies struct {
	Ingress bool `json:"ingress"`
	Egress  bool `json:"egress"`
}

type jsonFinding struct {
	Guardrail     string         `json:"guardrail"`
	Action        string         `json:"action"`
	WouldDeny     bool           `json:"wouldDeny"`
	NotYet        bool           `json:"notYet"`
	Kind          string         `json:"kind"`
	Name          string         `json:"name"`
	Owner         string         `json:"owner"`
	Pods          int            `json:"pods"`
	Field         string         `json:"field"`
	Detail        string         `json:"detail"`
	Affected      []jsonAffected `json:"affected"`
	Documentation string         `json:"documentation"`
}

type jsonAffected struct {
	Name string `json:"name"`
	Pods int    `json:"pods"`
}

// JSON writes the report for programs; docs/audit.md documents the fields.
func JSON(w io.Writer, r *audit.Report, o Options) error {
	t := count(r, &o)
	out := jsonReport{
		Version: jsonVersion,
		Summary: jsonSummary{
			Namespaces: t.namespaces, Exempt: t.exempt, DefaultDeny: jsonDirections{t.denies[netpol.Ingress], t.denies[netpol.Egress]}, Both: t.both,
			Posture: postureJSON(&t.posture), Findings: jsonActions(t.tally), Failures: t.failures,
		},
		Guardrails: []jsonTally{}, Namespaces: []jsonNamespace{}, Cluster: findingsJSON(r.Cluster, &o), Incomplete: some(r.Partial),
	}
	for _, slug := range worst(t.guardrails) {
		out.Guardrails = append(out.Guardrails, jsonTally{slug, jsonActions(*t.guardrails[slug]), o.docs(slug)})
	}
	for i := range r.Namespaces {
		if n := &r.Namespaces[i]; o.shows(n.Name) {
			out.Namespaces = append(out.Namespaces, namespaceJSON(n, &o))
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // it is for people's eyes too
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func namespaceJSON(n *audit.Namespace, o *Options) jsonNamespace {
	out := jsonNamespace{
		Name: n.Name, Exempt: n.Exempt, DefaultDeny: jsonDenies{n.Posture.Covered(netpol.Ingress), n.Posture.Covered(netpol.Egress)},
		Posture: postureJSON(&n.Posture), Findings: findingsJSON(n.Findings, o), Failures: []string{}, Unjudged: some(n.Unjudged),
	}
	for _, f := range n.Failures {
		out.Failures = append(out.Failures, f.Guardrail)
	}
	return out
}

func postureJSON(p *audit.Posture) jsonPosture {
	return jsonPosture{
		Policies: p.Policies, Pods: p.Pods, Ungoverned: p.Ungoverned, WithoutDNS: p.WithoutDNS,
		Isolated: jsonDirections{p.Isolated[netpol.Ingress], p.Isolated[netpol.Egress]}, SelectNothing: some(p.SelectNothing),
	}
}

func findingsJSON(findings []audit.Finding, o *Options) []jsonFinding {
	out := make([]jsonFinding, 0, len(findings))
	for i := range findings {
		f := &findings[i]
		out = append(out, jsonFinding{
			Guardrail: f.Guardrail, Action: string(f.Action), WouldDeny: f.WouldDeny, NotYet: f.NotYet, Kind: f.Kind, Name: f.Name, Owner: f.Owner,
			Pods: f.Pods, Field: f.Field, Detail: f.Detail, Affected: affectedJSON(f.Affected), Documentation: o.docs(f.Guardrail),
		})
	}
	return out
}

func affectedJSON(list []policy.Affected) []jsonAffected {
	out := make([]jsonAffected, 0, len(list))
	for _, a := range list {
		out = append(out, jsonAffected(a))
	}
	return out
}

// some gives an empty list where there is none: programs need not ask for null.
func some(list []string) []string { return append([]string{}, list...) }
