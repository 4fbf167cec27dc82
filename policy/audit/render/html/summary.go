package html

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const (
	// maxFindings bounds the findings on a page: a browser draws these in about a second.
	maxFindings = 5000
	// maxPerNamespace bounds those of one namespace, so that a single one does not use up the page.
	maxPerNamespace = 500
)

// Summary is a report as numbers to show.
type Summary struct {
	// Namespaces are sorted: those with the most violations first, then by name.
	Namespaces []NamespaceSummary
	// Cluster is about the cluster as a whole.
	Cluster []Entry
	// Partial says what was not judged.
	Partial []string
	// Both, One and None count the namespaces that deny by default in both directions, in one and in neither. Exempt ones
	// count like all others.
	Both, One, None int
	// Pods that policies govern, how many of them are isolated by netpol.Direction, and how many are cut from DNS.
	Pods       int
	Isolated   [2]int
	WithoutDNS int
	// Policies, and how many of them select nothing.
	Policies, SelectNothing int
	// Actions counts all violations, and WouldDeny those that would be denied if their guardrail's action were Deny.
	Actions   Actions
	WouldDeny int
	// Guardrails are those with violations, the most first.
	Guardrails []GuardrailSummary
	// Shown of the findings are on the page; Left are not.
	Shown, Left int
	// Failures counts the guardrails that could not be evaluated somewhere.
	Failures int
}

// Actions counts violations by action.
type Actions struct{ Deny, Warn, Audit int }

// Total is the sum.
func (a Actions) Total() int { return a.Deny + a.Warn + a.Audit }

func (a *Actions) add(action config.Action) {
	switch action {
	case config.Deny:
		a.Deny++
	case config.Warn:
		a.Warn++
	default:
		a.Audit++
	}
}

// NamespaceSummary is one namespace.
type NamespaceSummary struct {
	Name   string
	Exempt bool
	audit.Posture
	// Governed counts the pods that policies apply to.
	Governed int
	Actions  Actions
	// Objects hold the findings that are shown; Left counts the others.
	Objects  []Object
	Left     int
	Failures []string
	source   *audit.Namespace
}

// Denies says in which directions the namespace denies by default: "both", "ingress", "egress" or "none".
func (n *NamespaceSummary) Denies() string {
	switch n.DefaultDeny {
	case [2]bool{true, true}:
		return "both"
	case [2]bool{}:
		return "none"
	}
	if n.DefaultDeny[netpol.Ingress] {
		return "ingress"
	}
	return "egress"
}

// DeniesRank orders Denies: 0 for none, 2 for both.
func (n *NamespaceSummary) DeniesRank() int {
	return map[string]int{"none": 0, "ingress": 1, "egress": 1, "both": 2}[n.Denies()]
}

// Object is one object with its findings.
type Object struct {
	Kind, Name string
	Findings   []Entry
}

// Entry is one finding to show.
type Entry struct {
	Guardrail, Action, Field, Detail string
	WouldDeny, NotYet                bool
	Affected                         string
	Say, YAML                        string
}

// GuardrailSummary is one guardrail.
type GuardrailSummary struct {
	Slug       string
	Actions    Actions
	WouldDeny  int
	Namespaces int
}

// Summarize adds a report up.
func Summarize(r *audit.Report) *Summary {
	s := &Summary{Partial: make([]string, 0, len(r.Partial)), Namespaces: make([]NamespaceSummary, 0, len(r.Namespaces))}
	for _, reason := range r.Partial {
		s.Partial = append(s.Partial, Printable(reason))
	}
	bySlug := map[string]*GuardrailSummary{}
	count := func(list []audit.Finding, seen map[string]bool, actions *Actions) {
		for i := range list {
			s.count(&list[i], bySlug, seen)
			actions.add(list[i].Action)
		}
	}
	count(r.Cluster, map[string]bool{}, &Actions{})
	for i := range r.Cluster {
		s.Cluster = append(s.Cluster, entry(&r.Cluster[i]))
	}
	for i := range r.Namespaces {
		n := SummarizeNamespace(&r.Namespaces[i])
		count(r.Namespaces[i].Findings, map[string]bool{}, &n.Actions)
		s.posture(&n)
		s.Namespaces = append(s.Namespaces, n)
	}
	slices.SortStableFunc(s.Namespaces, func(a, b NamespaceSummary) int {
		return cmp.Or(cmp.Compare(b.Actions.Deny, a.Actions.Deny), cmp.Compare(b.Actions.Total(), a.Actions.Total()), strings.Compare(a.Name, b.Name))
	})
	for _, g := range bySlug {
		s.Guardrails = append(s.Guardrails, *g)
	}
	slices.SortFunc(s.Guardrails, func(a, b GuardrailSummary) int {
		return cmp.Or(cmp.Compare(b.Actions.Total(), a.Actions.Total()), strings.Compare(a.Slug, b.Slug))
	})
	s.bound()
	return s
}

// SummarizeNamespace gives the posture of one namespace, without its findings.
func SummarizeNamespace(n *audit.Namespace) NamespaceSummary {
	out := NamespaceSummary{
		Name: Printable(n.Name), Exempt: n.Exempt, Posture: n.Posture, Governed: max(n.Posture.Pods-n.Posture.Ungoverned, 0), source: n,
	}
	out.SelectNothing = nil
	for _, name := range n.Posture.SelectNothing {
		out.SelectNothing = append(out.SelectNothing, Printable(name))
	}
	for _, f := range n.Failures {
		out.Failures = append(out.Failures, Printable(f.Guardrail))
	}
	return out
}

func (s *Summary) posture(n *NamespaceSummary) {
	switch n.DeniesRank() {
	case 0:
		s.None++
	case 1:
		s.One++
	default:
		s.Both++
	}
	s.Pods += n.Governed
	for d := range n.Isolated {
		s.Isolated[d] += n.Isolated[d]
	}
	s.WithoutDNS += n.WithoutDNS
	s.Policies += n.Policies
	s.SelectNothing += len(n.SelectNothing)
	s.Failures += len(n.Failures)
}

func (s *Summary) count(f *audit.Finding, bySlug map[string]*GuardrailSummary, seen map[string]bool) {
	slug := Printable(f.Guardrail)
	g := bySlug[slug]
	if g == nil {
		g = &GuardrailSummary{Slug: slug}
		bySlug[slug] = g
	}
	g.Actions.add(f.Action)
	s.Actions.add(f.Action)
	if f.WouldDeny {
		g.WouldDeny++
		s.WouldDeny++
	}
	if !seen[slug] {
		seen[slug] = true
		g.Namespaces++
	}
}

// bound gives each namespace the findings that are shown, in the order of the page.
func (s *Summary) bound() {
	left := maxFindings
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		all := n.source.Findings
		shown := min(len(all), left, maxPerNamespace)
		n.Objects, n.Left = Objects(all[:shown]), len(all)-shown
		left -= shown
		s.Shown, s.Left = s.Shown+shown, s.Left+n.Left
	}
}

// Objects gathers findings by their object, in the order in which they come.
func Objects(findings []audit.Finding) []Object {
	var out []Object
	for i := range findings {
		f := &findings[i]
		kind, name := Printable(f.Kind), Printable(f.Name)
		if n := len(out); n == 0 || out[n-1].Kind != kind || out[n-1].Name != name {
			out = append(out, Object{Kind: kind, Name: name})
		}
		o := &out[len(out)-1]
		o.Findings = append(o.Findings, entry(f))
	}
	return out
}

func entry(f *audit.Finding) Entry {
	e := Entry{
		Guardrail: Printable(f.Guardrail), Action: Printable(string(f.Action)), Field: Printable(f.Field), Detail: Printable(f.Detail),
		WouldDeny: f.WouldDeny, NotYet: f.NotYet, Affected: affected(f),
	}
	if f.Fix != nil {
		e.Say, e.YAML = Printable(f.Fix.Say), printableLines(f.Fix.YAML)
	}
	return e
}
