package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bulkhead-dev/bulkhead/policy"
)

func environmentOf(budget time.Duration) *environment {
	return &environment{
		budget: budget, observe: func(string, time.Duration) {}, overruns: newOverruns(prometheus.NewGauge(prometheus.GaugeOpts{})),
	}
}

func one(detail string) []policy.Violation { return []policy.Violation{{Detail: detail, Live: true}} }

// failing makes guardrails that cannot be evaluated, until the test ends.
func failing(t *testing.T) (panics, hangs policy.Guardrail) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return always("b-panics", func() []policy.Violation { panic("secret of the object") }),
		always("c-hangs", func() []policy.Violation { <-release; return one("too late") })
}

func TestFailingGuardrailsLeaveTheOthersToDecide(t *testing.T) {
	panics, hangs := failing(t)
	guardrails := []policy.Guardrail{
		always("a-fine", func() []policy.Violation { return nil }), panics, hangs,
		always("d-denies", func() []policy.Violation { return one("d is broken") }),
	}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
	b.env.budget = 20 * time.Millisecond
	got := b.send(t.Context(), policyCreate(t, "a"))
	if got.AdmissionResponse == nil || got.Allowed || !strings.HasPrefix(got.Result.Message, "d-denies: d is broken (1 error)") {
		t.Fatalf("got %s", got.text)
	}
	if a := got.AuditAnnotations["guardrails"]; a != "d-denies=Deny,b-panics=Failed,c-hangs=Failed" {
		t.Errorf("guardrails %q", a)
	}
	if strings.Contains(got.text, "secret") || !strings.Contains(b.log.String(), "secret") {
		t.Error("the panic's text belongs into the log and nowhere else")
	}
	wantSeries(t, b, "bulkhead_guardrail_failures_total{guardrail=b-panics} 1")
	wantSeries(t, b, "bulkhead_guardrail_failures_total{guardrail=c-hangs} 1")
}

func TestErrorAction(t *testing.T) {
	panics, _ := failing(t)
	guardrails := []policy.Guardrail{always("a-fine", func() []policy.Violation { return nil }), panics}
	for _, tt := range []struct {
		config, decision string
		warnings         []string
	}{
		{deny, "allowed", nil},
		{deny + "errorAction: Audit\n", "allowed", nil},
		{deny + "errorAction: Warn\n", "warned", []string{"b-panics: could not be evaluated; the platform team's logs say why"}},
		{deny + "errorAction: Deny\n", "denied", nil},
		{"errorAction: Deny\n", "warned", []string{"b-panics: could not be evaluated; the platform team's logs say why"}},
	} {
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, tt.config), namespaceOf("shop"))
		got := b.send(t.Context(), policyCreate(t, "a"))
		if got.AuditAnnotations["decision"] != tt.decision || got.Allowed != (tt.decision != "denied") || fmt.Sprint(got.Warnings) != fmt.Sprint(tt.warnings) {
			t.Errorf("%q: got %s", tt.config, got.text)
		}
		if tt.decision == "denied" && (!strings.HasPrefix(got.Result.Message, "bulkhead: a guardrail could not be evaluated") || len(b.client.Actions()) != 0) {
			t.Errorf("denied with %q after %d live reads, which settle nothing", got.Result.Message, len(b.client.Actions()))
		}
	}
}

func TestNothingLeftToDecideIsAnError(t *testing.T) {
	panics, hangs := failing(t)
	guardrails := []policy.Guardrail{panics, hangs}
	for _, text := range []string{deny, deny + "errorAction: Deny\n", "maximumAction: Audit\n"} {
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, text), namespaceOf("shop"))
		b.env.budget = 10 * time.Millisecond
		got := b.send(t.Context(), policyCreate(t, "a"))
		if got.code != http.StatusInternalServerError || strings.Contains(got.text, "secret") {
			t.Errorf("%q: got %d %s", text, got.code, got.text)
		}
		wantSeries(t, b, "bulkhead_guardrail_failures_total{guardrail=b-panics} 1")
		wantSeries(t, b, "bulkhead_guardrail_failures_total{guardrail=c-hangs} 1")
		if log := b.log.String(); !strings.Contains(log, "secret of the object") || !strings.Contains(log, errOverrun.Error()) {
			t.Errorf("%q: the log does not say why: %s", text, log)
		}
	}
}

func TestFirstHangingGuardrailDoesNotHoldUpTheRest(t *testing.T) {
	_, hangs := failing(t)
	var ran atomic.Int32
	guardrails := []policy.Guardrail{hangs}
	for i := range 20 {
		guardrails = append(guardrails, always(fmt.Sprintf("d-%02d", i), func() []policy.Violation { ran.Add(1); return nil }))
	}
	cfg := configOf(t, guardrails, deny)
	d := evaluate(t.Context(), cfg, guardrails, changeOf(t, "a"), environmentOf(10*time.Millisecond))
	if ran.Load() != 20 || len(d.Failures) != 1 || !errors.Is(d.Failures[0].Err, errOverrun) || d.Undecided {
		t.Errorf("%d ran, failures %v", ran.Load(), d.Failures)
	}
}

func TestEndOfTheRequestGivesUpWhatIsLeft(t *testing.T) {
	_, hangs := failing(t)
	ctx, cancel := context.WithCancel(t.Context())
	var after atomic.Bool
	guardrails := []policy.Guardrail{
		always("a-denies", func() []policy.Violation { cancel(); return one("a is broken") }), hangs,
		always("d-late", func() []policy.Violation { after.Store(true); return nil }),
	}
	cfg := configOf(t, guardrails, deny)
	d := evaluate(ctx, cfg, guardrails, changeOf(t, "a"), environmentOf(time.Hour))
	if got := len(d.Findings) + len(d.Failures); got != 3 || len(d.Failures) < 2 || after.Load() {
		t.Errorf("findings %v, failures %v, late one ran: %v", d.Findings, d.Failures, after.Load())
	}
}

func TestNoApplicableGuardrailAllows(t *testing.T) {
	d := evaluate(t.Context(), configOf(t, nil, deny), nil, changeOf(t, "a"), environmentOf(time.Second))
	if !d.Allowed || d.Undecided {
		t.Errorf("got %+v", d)
	}
}

func changeOf(t testing.TB, name string) *policy.Change {
	t.Helper()
	c, err := policy.PolicyChange(shop().Snapshot(), nil, policyOf(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withFixes makes a guardrail that offers n fixes and counts how often it is asked.
func withFixes(n int, asked *atomic.Int32, hang <-chan struct{}) policy.Guardrail {
	return always("offers", func() []policy.Violation {
		if asked.Add(1) > 1 {
			if hang != nil {
				<-hang
			}
			return nil // every fix holds
		}
		var out []policy.Violation
		for i := range n {
			out = append(out, policy.Violation{Field: fmt.Sprintf("spec.egress[%d]", i), Live: true, Detail: "broken", Fix: &policy.Fix{Say: fmt.Sprintf("do %d", i)}})
		}
		return out
	})
}

func TestFixesAreTriedOnlyWhereTheyCanBeShown(t *testing.T) {
	for _, tt := range []struct {
		config string
		tried  int32
	}{{deny, maxFixes}, {"", 0}, {"maximumAction: Audit\n", 0}} {
		var asked atomic.Int32
		guardrails := []policy.Guardrail{withFixes(1000, &asked, nil)}
		d := evaluate(t.Context(), configOf(t, guardrails, tt.config), guardrails, changeOf(t, "a"), environmentOf(time.Minute))
		if len(d.Findings) != 1000 || asked.Load() != 1+tt.tried {
			t.Errorf("%q: %d findings, %d fixes tried, want %d", tt.config, len(d.Findings), asked.Load()-1, tt.tried)
		}
	}
}

func TestHangingFixIsNotShown(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	var asked atomic.Int32
	guardrails := []policy.Guardrail{withFixes(2, &asked, release)}
	d := evaluate(t.Context(), configOf(t, guardrails, deny), guardrails, changeOf(t, "a"), environmentOf(10*time.Millisecond))
	if d.Allowed || len(d.Findings) != 2 || d.Findings[0].Fix != nil || d.Findings[1].Fix != nil {
		t.Errorf("got %+v", d)
	}
}
