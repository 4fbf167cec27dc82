package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// command is how a fixture's request is made, by dev where it does not say who asks.
func (s *suite) command(t *testing.T, r *policytest.Request) command {
	t.Helper()
	const dry = "--dry-run=server"
	who := []string{"--as", dev, "--as-group", masters}
	if u := r.User; u != nil {
		who = []string{"--as", u.Name, "--as-group", masters}
		for _, g := range u.Groups {
			who = append(who, "--as-group", g)
		}
	}
	if edit := r.Pod; edit != nil {
		args := []string{"label", "pod", s.podOf(t, edit.Namespace, edit.Of), "-n", edit.Namespace, "--overwrite", dry}
		for k, v := range edit.Labels {
			if v == nil {
				args = append(args, k+"-")
			} else {
				args = append(args, k+"="+*v)
			}
		}
		return command{who: who, args: args}
	}
	switch o := object(t, r.Object); r.Operation {
	case policy.Create:
		return command{who: who, stdin: text(o), args: []string{"create", "-f", "-", dry}}
	case policy.Update:
		return command{who: who, stdin: text(o), args: []string{"replace", "-f", "-", dry}}
	default:
		return command{who: who, args: []string{"delete", strings.ToLower(o.GetKind()), o.GetName(), "-n", o.GetNamespace(), dry}}
	}
}

// audits says whether the fixture has findings that its author does not see.
func (r *replay) audits() bool {
	return slices.ContainsFunc(r.Want, func(w policytest.Want) bool { return w.Action == config.Audit })
}

// audited counts the decisions in the replicas' logs by the findings of the fixture that its author does not see.
func (s *suite) audited(t *testing.T, r *replay) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, w := range r.Want {
		if w.Action != config.Audit {
			continue
		}
		detail := r.Guardrail + ": " + w.Detail
		out[detail] = 0
		for _, d := range s.allDecisions(t, r.namespace()) {
			if strings.Contains(d.Violations, detail) {
				out[detail]++
			}
		}
	}
	return out
}

// namespace gives the namespace that the request is about; that of a Namespace is itself.
func (r *replay) namespace() string {
	if r.Request.Pod != nil {
		return r.Request.Pod.Namespace
	}
	var o unstructured.Unstructured
	if err := json.Unmarshal(r.Request.Object.Raw, &o.Object); err != nil {
		return ""
	}
	return cmp.Or(o.GetNamespace(), o.GetName())
}

// checkReplay compares what kubectl printed about the fixture's guardrail with the words wanted. Other guardrails may
// have something to say as well. What was wanted of the logs is there once.
func checkReplay(t *testing.T, r *replay) {
	t.Helper()
	a := r.answer
	message := messageOf(a)
	if !a.ok && message == "" {
		t.Fatalf("kubectl failed for another reason:\n%s", a.text())
	}
	var wanted, got []string
	for _, w := range r.Want {
		if w.Action == config.Audit {
			continue
		}
		wanted = append(wanted, wantedLine(r, w))
		if w.Action == config.Deny && !inKubeSystem(r) {
			checkDenial(t, r.Guardrail, w, message)
		}
	}
	for line := range strings.Lines(a.stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "Warning: "+r.Guardrail+": ") || strings.HasPrefix(line, "  "+r.Guardrail+"  ") {
			got = append(got, line)
		}
	}
	slices.Sort(wanted)
	slices.Sort(got)
	if !slices.Equal(wanted, got) {
		t.Errorf("%s\n%s was to say\n  %s\nand said\n  %s", r.Why, r.Guardrail, strings.Join(wanted, "\n  "), strings.Join(got, "\n  "))
	}
	for detail, n := range r.logged {
		if n != 1 {
			t.Errorf("%d decisions were logged with %q, want 1", n, detail)
		}
	}
	if t.Failed() {
		t.Logf("kubectl printed:\n%s", a.text())
	}
}

// wantedLine is how kubectl shows a finding.
func wantedLine(r *replay, w policytest.Want) string {
	if w.Action == config.Warn || inKubeSystem(r) {
		return clip("Warning: "+r.Guardrail+": "+w.Detail, len("Warning: ")+maxWarning)
	}
	reason := cmp.Or(w.Reason, w.Detail)
	if w.Field != "" {
		reason = w.Field + ": " + reason
	}
	return fmt.Sprintf("  %s  %s", r.Guardrail, reason)
}

// maxWarning is where Bulkhead cuts a warning, since the API server would do so less nicely.
const maxWarning = 256

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most-len("…")] + "…"
}

// inKubeSystem says that the request is about the namespace in which Bulkhead refuses nothing and warns instead.
func inKubeSystem(r *replay) bool { return r.namespace() == "kube-system" }

// checkDenial looks for what a denial says of a finding beside its own line.
func checkDenial(t *testing.T, guardrail string, w policytest.Want, message string) {
	t.Helper()
	if strings.HasPrefix(message, guardrail+": ") { // else another guardrail's finding comes first
		if want := guardrail + ": " + cmp.Or(w.Headline, w.Detail) + " ("; !strings.HasPrefix(message, want) {
			t.Errorf("the message does not begin with %q", want)
		}
	}
	if len(w.Affected) > 0 {
		if want := "affects " + strings.Join(w.Affected, ", ") + "\n"; !strings.Contains(message, want) {
			t.Errorf("the message lacks %q", want)
		}
	}
	if w.FixSay != "" {
		if want := "\n  " + w.FixSay + "\n" + indent(w.Fix); !strings.Contains(message+"\n", want) {
			t.Errorf("the message lacks the fix\n%s", want)
		}
	}
}
