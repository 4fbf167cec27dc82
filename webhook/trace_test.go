package webhook

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
)

func TestTraceOf(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, tt := range []struct{ header, want string }{
		{"00-" + id + "-00f067aa0ba902b7-01", id},
		{"cc-" + id + "-00f067aa0ba902b7-01-what-will-be", id},
		{"", ""},
		{"00-" + id, ""},
		{"ff-" + id + "-00f067aa0ba902b7-01", ""},
		{"0\n-" + id + "-00f067aa0ba902b7-01", ""},
		{"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", ""},
		{"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01", ""},
		{"00-" + strings.Repeat("\u202e", 10) + "ab-00f067aa0ba902b7-01", ""},
	} {
		ctx := context.WithValue(t.Context(), requestStateKey{}, &requestState{traceParent: tt.header})
		if got := traceOf(ctx); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.header, got, tt.want)
		}
	}
	if got := traceOf(t.Context()); got != "" {
		t.Errorf("without armour: %q", got)
	}
}

func TestIsUID(t *testing.T) {
	const uid = "705ab4f5-6393-11e8-b7cc-42010a800002"
	for s, want := range map[string]bool{
		uid: true, "": false, "uid-1": false, strings.ToUpper(uid): false, strings.Replace(uid, "-", "0", 1): false,
		strings.Replace(uid, "7", "-", 1): false, strings.Replace(uid, "7", "\n", 1): false, uid + "0": false,
	} {
		if isUID(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// TestExemplarsLeadToTheRequest: whoever looks at slow evaluations finds the request's UID and its trace, in the format that has
// exemplars; a UID that no API server makes is left out.
func TestExemplarsLeadToTheRequest(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
	metrics := func() string {
		t.Helper()
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
		request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
		recorder := httptest.NewRecorder()
		Probes(nil, b.registry).ServeHTTP(recorder, request)
		return recorder.Body.String()
	}
	r := policyCreate(t, "a")
	r.UID = "made\nup"
	if got := b.send(t.Context(), r); got.AdmissionResponse == nil {
		t.Fatal(got.text)
	}
	if strings.Contains(metrics(), "# {") {
		t.Errorf("an exemplar of a made up UID:\n%s", metrics())
	}
	r.UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	if got := b.sendTraced(t.Context(), r, "00-"+trace+"-00f067aa0ba902b7-01"); got.AdmissionResponse == nil {
		t.Fatal(got.text)
	}
	if m := metrics(); !strings.Contains(m, `# {trace_id="`+trace+`",uid="705ab4f5-6393-11e8-b7cc-42010a800002"}`) &&
		!strings.Contains(m, `# {uid="705ab4f5-6393-11e8-b7cc-42010a800002",trace_id="`+trace+`"}`) {
		t.Errorf("no exemplar:\n%s", m)
	}
	if lines := b.decisions(); lines[len(lines)-1]["traceID"] != trace || lines[0]["traceID"] != nil {
		t.Errorf("the log has %v", lines)
	}
}

// decisions gives the lines of the log about decisions.
func (b *bench) decisions() []map[string]any {
	b.Helper()
	var out []map[string]any
	for line := range strings.Lines(b.log.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			b.Fatalf("%v: %s", err, line)
		}
		if l["msg"] == "decision" {
			out = append(out, l)
		}
	}
	return out
}

// TestWhatWouldBeDeniedIsTold: in the metric, the log line and the audit annotations, by guardrail and not by violation; what is
// denied is not, and dry runs do not count.
func TestWhatWouldBeDeniedIsTold(t *testing.T) {
	twice := func(live bool) func() []policy.Violation {
		return func() []policy.Violation {
			return []policy.Violation{{Field: "a", Detail: "a", Live: live}, {Field: "b", Detail: "b", Live: live}}
		}
	}
	never := always("never", twice(true))
	never.AtMost = "Audit"
	onLive := always("on-live", twice(false))
	onLive.LiveOnly = true
	guardrails := []policy.Guardrail{always("audits", twice(true)), always("denies", twice(true)), never, onLive, always("warns", twice(true))}
	const actions = "guardrails: {audits: {action: Audit}, warns: {action: Warn}, on-live: {action: Warn}}\n"
	for _, tt := range []struct {
		config, want string
		dryRun       bool
		counted      []string
	}{
		{deny + actions, "audits,warns", false, []string{"audits} 1", "denies} 0", "on-live} 0", "warns} 1"}},
		{"maximumAction: Warn\n" + actions, "audits,denies,warns", false, []string{"audits} 1", "denies} 1", "on-live} 0", "warns} 1"}},
		{deny + actions, "audits,warns", true, []string{"audits} 0", "denies} 0", "on-live} 0", "warns} 0"}},
	} {
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, tt.config), namespaceOf("shop"))
		r := policyCreate(t, "a")
		r.DryRun = &tt.dryRun
		got := b.send(t.Context(), r)
		if got.AdmissionResponse == nil {
			t.Fatal(got.text)
		}
		if annotation := got.AuditAnnotations["would-deny"]; annotation != tt.want {
			t.Errorf("%q: the audit annotation is %q, want %q", tt.config, annotation, tt.want)
		}
		if lines := b.decisions(); len(lines) != 1 || lines[0]["wouldDeny"] != tt.want || lines[0]["uid"] != "uid-1" || lines[0]["user"] == "" {
			t.Errorf("%q: the log has %v", tt.config, lines)
		}
		var counted []string
		for _, s := range b.series("bulkhead_would_deny_total") {
			counted = append(counted, strings.TrimPrefix(s, "bulkhead_would_deny_total{guardrail="))
		}
		if !slices.Equal(counted, tt.counted) {
			t.Errorf("%q: counted %v, want %v", tt.config, counted, tt.counted)
		}
	}
}
