package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

// preview is what a guardrail would refuse if its action were Deny.
type preview struct {
	guardrail *policy.Guardrail
	// action is what the guardrail does by the config of the command, the default one where none is given.
	action     config.Action
	configured bool
	stored     []storedDenial
	exempt     int
	// requests are the past changes, nil where Prometheus was not asked.
	requests *pastDenials
	// gaps say why the stored objects are not all that there are, a sentence each.
	gaps []string
}

// storedDenial is one stored object that would be denied.
type storedDenial struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Owner     string `json:"owner"`
	Pods      int    `json:"pods"`
	NotYet    bool   `json:"notYet"`
	Detail    string `json:"detail"`
}

// ifDenied says what the guardrail of --if-denied would refuse.
func ifDenied(cmd *cobra.Command, o *auditOptions) error {
	x, err := o.preview(cmd)
	if err != nil {
		return usageError{err}
	}
	err = o.output.write(cmd, func(w io.Writer) error {
		if o.output.format == "json" {
			return x.json(w)
		}
		return x.text(w, painter{o.output.colored(cmd)})
	})
	if err != nil {
		return usageError{err}
	}
	if failOn, err := failAction(o.failOn); err != nil || failOn == config.Off || len(x.stored) == 0 {
		return err
	}
	return fmt.Errorf("%s denied by %s (--fail-on %s)", plural(len(x.stored), "finding would be", "findings would be"), x.guardrail.Slug, o.failOn)
}

func (o *auditOptions) preview(cmd *cobra.Command) (*preview, error) {
	g, err := findGuardrail(guardrails.All(), o.ifDenied)
	if err != nil {
		return nil, err
	}
	x := &preview{guardrail: g, configured: o.config != ""}
	if o.prometheus != "" { // before the cluster is read: an answer that fails soon is better
		if x.requests, err = o.askPrometheus(cmd.Context(), g); err != nil {
			return nil, err
		}
	}
	r, _, err := o.audit(cmd, func(cfg *config.Config) (*config.Config, error) {
		x.action = cfg.Settings(g.Slug).Action
		return cfg.WithAction(g.Slug, config.Deny) // one that is Off would not run
	})
	if err == nil {
		err = interrupted(cmd.Context())
	}
	if err != nil {
		return nil, err
	}
	x.gaps = r.Partial
	for i := range r.Namespaces {
		x.namespace(&r.Namespaces[i])
	}
	return x, nil
}

func (x *preview) namespace(n *audit.Namespace) {
	if n.Exempt {
		x.exempt++
	}
	for range n.Failures {
		x.gaps = append(x.gaps, fmt.Sprintf("%s could not be evaluated in %s", x.guardrail.Slug, n.Name))
	}
	for i := range n.Findings {
		if f := &n.Findings[i]; f.WouldDeny {
			x.stored = append(x.stored, storedDenial{n.Name, f.Kind, f.Name, f.Owner, f.Pods, f.NotYet, f.Detail})
		}
	}
}

// neverDenies reports whether nothing in the config makes the guardrail deny.
func (x *preview) neverDenies() bool {
	return x.guardrail.AtMost != "" && x.guardrail.AtMost != config.Deny
}

// namespaces lists those with stored objects that would be denied, sorted, each with how many findings.
func (x *preview) namespaces() (names []string, findings map[string]int) {
	findings = map[string]int{}
	for i := range x.stored {
		if findings[x.stored[i].Namespace]++; findings[x.stored[i].Namespace] == 1 {
			names = append(names, x.stored[i].Namespace)
		}
	}
	return names, findings
}

// safe reports whether all that is known says that Deny refuses nothing, past changes among it.
func (x *preview) safe() bool {
	return !x.neverDenies() && len(x.stored)+len(x.gaps) == 0 && x.requests != nil && x.requests.Count == 0 && x.requests.Complete
}

// advice says in sentences what to do now.
func (x *preview) advice() []string {
	names, findings := x.namespaces()
	switch {
	case x.neverDenies():
		return []string{fmt.Sprintf("%s never denies, whatever the config says: it cannot be sure enough.", x.guardrail.Slug)}
	case len(x.stored) > 0:
		var owners []string
		for _, name := range names {
			owners = append(owners, fmt.Sprintf("%s (%d)", name, findings[name]))
		}
		return append([]string{
			"Talk to the owners of " + strings.Join(owners, ", ") + " first: what is stored stays, and is denied when they apply it again.",
		}, x.past()...)
	case len(x.gaps) > 0:
		return append([]string{"Nothing that was judged would be denied, but not everything is known: " + strings.Join(x.gaps, "; ") + "."}, x.past()...)
	case x.requests == nil:
		return []string{"Nothing stored would be denied. Whether past changes would have been, Prometheus knows: give --prometheus."}
	case x.requests.Count > 0:
		return append([]string{"Nothing stored would be denied."}, x.past()...)
	case !x.requests.Complete:
		return []string{
			fmt.Sprintf("Nothing stored would be denied, nor would any change have been, but Prometheus does not know all of the last %s: ask again later.", x.requests.period()),
		}
	}
	return []string{fmt.Sprintf("Nothing stored and no change of the last %s would have been denied: Deny is safe to try.", x.requests.period())}
}

// past says what to do about past changes that would have been denied.
func (x *preview) past() []string {
	if x.requests == nil || x.requests.Count == 0 {
		return nil
	}
	return []string{
		fmt.Sprintf("In the last %s %s would have been denied: find out whose, in the webhook's log or the API server's audit log, before it is Deny.",
			x.requests.period(), plural(x.requests.Count, "change", "changes")),
	}
}

func (x *preview) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Version   int            `json:"version"`
		Guardrail string         `json:"guardrail"`
		Action    string         `json:"action"`
		Stored    []storedDenial `json:"stored"`
		Exempt    int            `json:"exempt"`
		Requests  *pastDenials   `json:"requests"`
		Safe      bool           `json:"safe"`
		Advice    string         `json:"advice"`
		Gaps      []string       `json:"incomplete"`
	}{1, x.guardrail.Slug, string(x.action), append([]storedDenial{}, x.stored...), x.exempt, x.requests, x.safe(), strings.Join(x.advice(), " "), append([]string{}, x.gaps...)})
}

// maxStored bounds the names of one namespace and kind that are told.
const maxStored = 5

func (x *preview) text(w io.Writer, p painter) error {
	var b strings.Builder
	by := "by default"
	if x.configured {
		by = "in the config"
	}
	fmt.Fprintf(&b, "%s\n\n", p.paint(fmt.Sprintf("If the action of %s were Deny (%s it is %s)", x.guardrail.Slug, by, x.action), color.Bold))
	names, _ := x.namespaces()
	fmt.Fprintf(&b, "stored objects   %s\n", x.storedWords(len(names)))
	fmt.Fprintf(&b, "past changes     %s\n", x.requests.words())
	if len(x.stored) > 0 {
		b.WriteString("\n")
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAMESPACE\tKIND\tOBJECTS\tNAMES")
		for _, row := range x.rows() {
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(&b, "\n%s\n", strings.Join(x.advice(), "\n"))
	_, err := io.WriteString(w, b.String())
	return err
}

func (x *preview) storedWords(namespaces int) string {
	words := "none would be denied if it were applied now"
	if n := x.objects(); n > 0 {
		words = fmt.Sprintf("%d, in %s, would be denied if applied now", n, plural(namespaces, "namespace", "namespaces"))
	}
	if x.exempt > 0 {
		words += fmt.Sprintf("; %s not judged", plural(x.exempt, "exempt namespace is", "exempt namespaces are"))
	}
	return words
}

// objects counts the stored objects; one can have several findings.
func (x *preview) objects() int {
	known := map[string]bool{}
	for _, s := range x.stored {
		known[s.Namespace+"/"+s.Kind+"/"+s.Owner+"/"+s.Name] = true
	}
	return len(known)
}

// rows group the stored objects by namespace and kind.
func (x *preview) rows() [][]string {
	var out [][]string
	groups := map[string][]string{}
	for _, s := range x.stored {
		key := s.Namespace + "\t" + s.Kind
		if groups[key] == nil {
			out = append(out, []string{s.Namespace, s.Kind})
		}
		if !slices.Contains(groups[key], s.Name) {
			groups[key] = append(groups[key], s.Name)
		}
	}
	for i, row := range out {
		names := groups[row[0]+"\t"+row[1]]
		n := len(names)
		if n > maxStored {
			names = append(names[:maxStored:maxStored], fmt.Sprintf("+%d more", n-maxStored))
		}
		out[i] = append(row, fmt.Sprint(n), strings.Join(names, ", "))
	}
	return out
}
