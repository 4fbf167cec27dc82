package render

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// columns is how wide the table is: it wraps text at that.
const columns = 100

// The bounds of what the table shows of a whole cluster.
const (
	maxWorst    = 10 // guardrails, and namespaces
	maxFindings = 20 // of one namespace
	maxNames    = 5  // of policies that select nothing
)

// Table writes the report for people: what is so at first, then what is wrong, by namespace.
func Table(w io.Writer, r *audit.Report, o Options) error {
	out := bufio.NewWriter(w) // which keeps the first error for Flush
	t := &table{Writer: out, Options: o, totals: count(r, &o)}
	t.posture()
	t.worst("Guardrails", t.guardrails)
	if o.Namespace == "" {
		t.worst("Namespaces", t.byName)
	}
	if len(r.Cluster) > 0 {
		t.title("The cluster", "")
		t.findings(r.Cluster)
	}
	for i := range r.Namespaces {
		if n := &r.Namespaces[i]; o.shows(n.Name) && len(n.Findings)+len(n.Failures) > 0 {
			t.namespace(n)
		}
	}
	fmt.Fprintln(out)
	t.wrapped("", t.verdict())
	for _, sentence := range r.Partial {
		fmt.Fprintln(out, "incomplete:", printable(sentence))
	}
	return out.Flush()
}

type table struct {
	*bufio.Writer
	Options
	*totals
}

func (t *table) title(text, more string) {
	fmt.Fprintf(t, "\n%s", t.paint(printable(text), Title))
	if more != "" {
		fmt.Fprintf(t, "  %s", t.paint(printable(more), Quiet))
	}
	fmt.Fprintln(t)
}

// posture says in a few lines how far the cluster is from one in which everything is denied unless it is meant.
func (t *table) posture() {
	p := &t.totals.posture
	fmt.Fprintln(t, t.paint("Posture", Title))
	line := func(name, text string) { t.wrapped(fmt.Sprintf("  %-12s", name), text) }
	namespaces := fmt.Sprintf("%d; with a default-deny: %s ingress, %s egress, %s both", t.namespaces, share(t.denies[netpol.Ingress], t.namespaces),
		share(t.denies[netpol.Egress], t.namespaces), share(t.both, t.namespaces))
	if t.exempt > 0 {
		namespaces += fmt.Sprintf("; %d exempt", t.exempt)
	}
	line("namespaces", namespaces)
	pods := fmt.Sprintf("%d; isolated: %s ingress, %s egress", p.Pods, share(p.Isolated[netpol.Ingress], p.Pods), share(p.Isolated[netpol.Egress], p.Pods))
	if p.Ungoverned > 0 {
		pods += fmt.Sprintf("; and %d on their node's network, which no policy governs", p.Ungoverned)
	}
	line("pods", pods)
	if p.WithoutDNS > 0 {
		line("DNS", fmt.Sprintf("%s isolated for egress and cannot reach the cluster's resolver", are(p.WithoutDNS, "pod")))
	}
	policies := fmt.Sprint(p.Policies)
	if n := len(p.SelectNothing); n > 0 {
		verb := "select"
		if n == 1 {
			verb = "selects"
		}
		policies += fmt.Sprintf("; %d %s nothing: %s", n, verb, names(p.SelectNothing))
	}
	line("policies", policies)
}

func are(n int, noun string) string {
	if n == 1 {
		return policy.Plural(n, noun) + " is"
	}
	return policy.Plural(n, noun) + " are"
}

// share writes a part of a whole: "12 (40%)". All is 100% and none 0%, and nothing else is.
func share(part, whole int) string {
	if whole == 0 {
		return "0"
	}
	percent := min(max((100*part+whole/2)/whole, 1), 99)
	switch part {
	case 0:
		percent = 0
	case whole:
		percent = 100
	}
	return fmt.Sprintf("%d (%d%%)", part, percent)
}

func names(list []string) string {
	if len(list) > maxNames {
		list = append(slices.Clone(list[:maxNames]), fmt.Sprintf("+%d more", len(list)-maxNames))
	}
	return strings.Join(list, ", ")
}

// worst writes the names with most findings, the strictest action first.
func (t *table) worst(title string, tallies map[string]*tally) {
	if len(tallies) == 0 {
		return
	}
	width := 40
	list := worst(tallies)
	for _, name := range list {
		width = max(width, min(utf8.RuneCountInString(name), 63))
	}
	fmt.Fprintf(t, "\n%s%s\n", t.paint(fmt.Sprintf("%-*s", width+2, title), Title), t.paint(fmt.Sprintf("%6s%6s%6s%12s", "deny", "warn", "audit", "would deny"), Quiet))
	for i, name := range list {
		if i == maxWorst && len(list) > maxWorst+1 {
			fmt.Fprintf(t, "  +%d more\n", len(list)-maxWorst)
			break
		}
		x := tallies[name]
		fmt.Fprintf(t, "  %-*s%s%s%6d%12d\n", width, printable(name), t.number(x.Deny, 6, Denied), t.number(x.Warn, 6, Warned), x.Audit, x.WouldDeny)
	}
}

// number colours a number that is not zero.
func (t *table) number(n, width int, s Style) string {
	text := fmt.Sprintf("%*d", width, n)
	if n == 0 {
		return text
	}
	return t.paint(text, s)
}

// worst sorts names by their tallies, the most and strictest first.
func worst(tallies map[string]*tally) []string {
	names := slices.Collect(maps.Keys(tallies))
	slices.SortFunc(names, func(a, b string) int {
		x, y := tallies[a], tallies[b]
		return cmp.Or(cmp.Compare(y.Deny, x.Deny), cmp.Compare(y.Warn, x.Warn), cmp.Compare(y.WouldDeny, x.WouldDeny), cmp.Compare(y.Audit, x.Audit),
			strings.Compare(a, b))
	})
	return names
}

func (t *table) namespace(n *audit.Namespace) {
	t.title(n.Name, denies(&n.Posture))
	for _, f := range n.Failures {
		t.wrapped("  "+t.paint("failed", Denied)+"  ", f.Guardrail+" could not be evaluated")
	}
	t.findings(n.Findings)
}

func denies(p *audit.Posture) string {
	switch p.DefaultDeny {
	case [2]bool{true, true}:
		return "denies both directions by default"
	case [2]bool{true, false}:
		return "denies ingress by default"
	case [2]bool{false, true}:
		return "denies egress by default"
	}
	return "no default-deny"
}

// findings writes those of one namespace, the strictest first.
func (t *table) findings(list []audit.Finding) {
	order := slices.Clone(list)
	slices.SortStableFunc(order, func(a, b audit.Finding) int { return cmp.Compare(b.Action.Rank(), a.Action.Rank()) })
	for i := range order {
		if t.Namespace == "" && i == maxFindings && len(order) > maxFindings+1 {
			fmt.Fprintf(t, "  +%d more\n", len(order)-maxFindings)
			return
		}
		t.finding(&order[i])
	}
}

// indent is where the text of a finding begins.
const indent = "         "

func (t *table) finding(f *audit.Finding) {
	style := map[config.Action]Style{config.Deny: Denied, config.Warn: Warned, config.Audit: Counted}[f.Action]
	head, place := printable(fmt.Sprintf("%-22s %s", f.Guardrail, about(f))), printable(strings.TrimSpace(f.Field+"  "+mark(f)))
	gap := "  "
	if utf8.RuneCountInString(indent+head+gap+place) > columns {
		gap = "\n" + indent
	}
	fmt.Fprintf(t, "  %s  %s\n", t.paint(fmt.Sprintf("%-5s", f.Action), style), strings.TrimRight(head+gap+place, " "))
	t.wrapped(indent, f.Detail)
}

// mark says what the action does not.
func mark(f *audit.Finding) string {
	would := f.WouldDeny && f.Action != config.Deny
	switch {
	case would && f.NotYet:
		return "(would deny; may pass)"
	case would:
		return "(would deny)"
	case f.NotYet:
		return "(may pass)"
	}
	return ""
}

// about names what a finding is about: "NetworkPolicy api", "3 pods of Deployment api".
func about(f *audit.Finding) string {
	switch {
	case f.Kind == "":
		return "the cluster"
	case f.Kind != "Pod" || f.Owner == "Pod" && f.Pods < 2:
		return f.Kind + " " + f.Name
	case f.Owner == "Pod":
		return policy.Plural(f.Pods, "pod") + " like " + f.Name
	}
	return policy.Plural(f.Pods, "pod") + " of " + f.Owner + " " + f.Name
}

// verdict is the last line.
func (t *table) verdict() string {
	text := fmt.Sprintf("%s: %d deny, %d warn, %d audit; %d would be denied if every guardrail's action were Deny",
		policy.Plural(t.total(), "finding"), t.Deny, t.Warn, t.Audit, t.WouldDeny)
	if t.failures > 0 {
		text += fmt.Sprintf("; %d could not be evaluated", t.failures)
	}
	return text
}

// wrapped writes text after the first words, broken at spaces so that lines fit; words that are longer than a line stay whole.
func (t *table) wrapped(first, text string) {
	indent := strings.Repeat(" ", visible(first))
	line := first
	width := len(indent)
	used := width
	for i, word := range strings.Fields(printable(text)) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > columns:
			fmt.Fprintln(t, line)
			line, used = indent, width
		default:
			line += " "
			used++
		}
		line += word
		used += n
	}
	fmt.Fprintln(t, line)
}

// visible counts what is seen of a text: colours are not.
func visible(s string) int {
	n, escaped := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r != 'm'
		default:
			n++
		}
	}
	return n
}
