package webhook

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// TestOverrunsAreBounded has one guardrail hang for as long as the test likes: no more than a few of its runs are left
// behind, it is run again once they have ended, and other guardrails are run all the time.
func TestOverrunsAreBounded(t *testing.T) {
	release := make(chan struct{})
	var began atomic.Int32
	hangs := func() []policy.Violation { began.Add(1); <-release; return nil }
	guardrails := []policy.Guardrail{always("a-hangs", hangs), always("b-denies", func() []policy.Violation { return one("b is broken") })}
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
	b.env.budget = 10 * time.Millisecond
	send := func(requests int) {
		t.Helper()
		var all sync.WaitGroup
		for range requests {
			all.Go(func() {
				got := b.send(t.Context(), policyCreate(t, "a"))
				if got.AdmissionResponse == nil || got.Allowed || got.AuditAnnotations["guardrails"] != "b-denies=Deny,a-hangs=Failed" {
					t.Errorf("got %s", got.text)
				}
			})
		}
		all.Wait()
	}
	// Each is judged twice, since a denial is confirmed. One after the other leaves exactly as many behind as there may be.
	for range 2 * overrunsEach {
		send(1)
	}
	if n := began.Load(); n != overrunsEach {
		t.Errorf("the hanging guardrail was begun %d times, want %d", n, overrunsEach)
	}
	wantSeries(t, b, fmt.Sprintf("bulkhead_guardrail_overruns_running{} %d", overrunsEach))
	if failures := b.series("bulkhead_guardrail_failures_total"); !strings.HasSuffix(fmt.Sprint(failures), fmt.Sprintf("} %d]", 2*overrunsEach)) {
		t.Errorf("failures %v", failures)
	}
	if !strings.Contains(b.log.String(), errCrowded.Error()) {
		t.Error("the log does not say why the guardrail was not run")
	}
	close(release)
	waitFor(t, "the runs that were given up to end", func() bool {
		return b.series("bulkhead_guardrail_overruns_running")[0] == "bulkhead_guardrail_overruns_running{} 0"
	})
	if got := b.send(t.Context(), policyCreate(t, "a")); got.AuditAnnotations["guardrails"] != "b-denies=Deny" {
		t.Errorf("it is not run again: %s", got.text)
	}
}

// TestManyOverrunsStopOnlyTheirGuardrails has many guardrails hang.
func TestManyOverrunsStopOnlyTheirGuardrails(t *testing.T) {
	o := newOverruns(prometheus.NewGauge(prometheus.GaugeOpts{}))
	for i := range overrunsAll {
		slug := fmt.Sprint("g-", i)
		if o.crowded(slug) {
			t.Errorf("%s is not to be run though only %d hang", slug, i)
		}
		o.add(slug, 1)
	}
	if !o.crowded("g-0") || o.crowded("fine") {
		t.Errorf("with %d left behind: g-0 %v, another %v", overrunsAll, o.crowded("g-0"), o.crowded("fine"))
	}
	o.add("g-1", -1)
	if o.crowded("g-0") || len(o.each) != overrunsAll-1 {
		t.Errorf("one has ended, and g-0 is not to be run; %d are counted", len(o.each))
	}
}

// TestFixesThatHangAreBounded tries no fixes while too many tries hang.
func TestFixesThatHangAreBounded(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	guardrails := []policy.Guardrail{withFixes(1, &asked, release)}
	env := environmentOf(5 * time.Millisecond)
	cfg := configOf(t, guardrails, deny)
	for range 2 * overrunsEach {
		asked.Store(0)
		if d := evaluate(t.Context(), cfg, guardrails, changeOf(t, "a"), env); d.Allowed || d.Findings[0].Fix != nil {
			t.Errorf("got %+v", d)
		}
	}
	env.overruns.mu.Lock()
	if env.overruns.each[triedFixes] != overrunsEach {
		t.Errorf("%d tries hang, want %d", env.overruns.each[triedFixes], overrunsEach)
	}
	env.overruns.mu.Unlock()
	close(release)
	waitFor(t, "the tries to end", func() bool { return !env.overruns.crowded(triedFixes) && gaugeOf(env.overruns) == 0 })
}

func gaugeOf(o *overruns) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all
}

// TestRequestsThatEndLeaveOneRunEach gives up everything with the request: only the guardrail that runs is left behind.
func TestRequestsThatEndLeaveOneRunEach(t *testing.T) {
	_, hangs := failing(t)
	guardrails := []policy.Guardrail{hangs}
	for i := range 5 {
		guardrails = append(guardrails, always(fmt.Sprint("d-", i), func() []policy.Violation { return nil }))
	}
	env := environmentOf(time.Hour)
	ctx := brief(t)
	d := evaluate(ctx, configOf(t, guardrails, deny), guardrails, changeOf(t, "a"), env)
	if len(d.Failures) != 6 || !errors.Is(d.Failures[5].Err, errOverrun) || gaugeOf(env.overruns) != 1 {
		t.Errorf("%d failures, %d left behind", len(d.Failures), gaugeOf(env.overruns))
	}
}
