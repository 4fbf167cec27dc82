package webhook

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// guardrailBudget is how long one guardrail may take before the others go on without it. Typical ones take
// microseconds; the request's own deadline bounds them all.
const guardrailBudget = 500 * time.Millisecond

// evaluation runs the guardrails of one request. A guardrail that panics or overruns is its own failure; the others
// still decide.
type evaluation struct {
	cfg     *config.Config
	change  *policy.Change
	pending []*policy.Guardrail
	env     *environment
	done    chan struct{} // closed when every guardrail has a result

	mu      sync.Mutex // guards all below
	results []policy.Result
	running int // index of the guardrail that the current worker runs
	since   time.Time
	next    int // index of the first guardrail that no worker has taken
	left    int // guardrails without a result
}

// environment is what evaluations have in common.
type environment struct {
	budget   time.Duration // of one guardrail
	observe  func(guardrail string, took time.Duration)
	overruns *overruns
}

// evaluate decides about c within the deadline of ctx.
func evaluate(ctx context.Context, cfg *config.Config, guardrails []policy.Guardrail, c *policy.Change, env *environment) policy.Decision {
	e := &evaluation{
		cfg: cfg, change: c, pending: policy.Applicable(cfg, guardrails, c), env: env, done: make(chan struct{}),
	}
	if len(e.pending) == 0 {
		return policy.Decide(cfg, c, nil)
	}
	e.results, e.left = make([]policy.Result, len(e.pending)), len(e.pending)
	go e.work()
	watch := time.NewTicker(env.budget)
	defer watch.Stop()
	for waiting := true; waiting; {
		select {
		case <-e.done:
			waiting = false
		case <-ctx.Done():
			e.giveUpAll()
			waiting = false
		case now := <-watch.C:
			if e.giveUpStuck(now) {
				go e.work()
			}
		}
	}
	return e.decide(ctx)
}

// decide turns the results into a decision. Trying the fixes runs guardrails again, so that is bounded like they are:
// fixes that cannot be tried in time are not shown.
func (e *evaluation) decide(ctx context.Context) policy.Decision {
	results, fixes := e.fixesWorthTrying()
	if !fixes {
		return policy.Decide(e.cfg, e.change, results)
	}
	if d, decided := e.tryFixes(ctx, results); decided {
		return d
	}
	return policy.Decide(e.cfg, e.change, keepFixes(results, func(policy.Result) bool { return false }))
}

// tryFixes decides with fixes that hold, if that is done in time.
func (e *evaluation) tryFixes(ctx context.Context, results []policy.Result) (policy.Decision, bool) {
	overruns := e.env.overruns
	if overruns.crowded(triedFixes) {
		return policy.Decision{}, false
	}
	decided := make(chan policy.Decision)
	ctx, giveUp := context.WithTimeout(ctx, e.env.budget)
	defer giveUp()
	go func() {
		d := policy.Decide(e.cfg, e.change, results)
		select {
		case decided <- d:
		case <-ctx.Done():
			overruns.add(triedFixes, -1)
		}
	}()
	select {
	case d := <-decided:
		return d, true
	case <-ctx.Done():
		overruns.add(triedFixes, 1)
		return policy.Decision{}, false
	}
}

// fixesWorthTrying gives the results with the fixes that a denial could show: only it shows any, and few.
func (e *evaluation) fixesWorthTrying() (results []policy.Result, fixes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	left := maxFixes
	return keepFixes(e.results, func(r policy.Result) bool {
		if left == 0 || e.change.Cap != "" || e.cfg.Settings(r.Guardrail.Slug).Action != config.Deny {
			return false
		}
		left--
		fixes = true
		return true
	}), fixes
}

// keepFixes copies the results without the fixes for which keep says no.
func keepFixes(results []policy.Result, keep func(policy.Result) bool) []policy.Result {
	out := slices.Clone(results)
	for i := range out {
		out[i].Violations = slices.Clone(out[i].Violations)
		for j := range out[i].Violations {
			if v := &out[i].Violations[j]; v.Fix != nil && !keep(out[i]) {
				v.Fix = nil
			}
		}
	}
	return out
}

// work runs guardrails one after the other, until none is left or the one that it ran was given up, and with it this
// worker.
func (e *evaluation) work() {
	for {
		e.mu.Lock()
		i := e.next
		if i >= len(e.pending) || e.left == 0 {
			e.mu.Unlock()
			return
		}
		e.next++
		start := time.Now()
		e.running, e.since = i, start
		e.mu.Unlock()

		slug := e.pending[i].Slug
		if e.env.overruns.crowded(slug) {
			if !e.settle(i, policy.Result{Guardrail: e.pending[i], Err: errCrowded}) {
				e.env.overruns.add(slug, -1) // given up in between
				return
			}
			continue
		}
		r := policy.Check(e.cfg, e.pending[i], e.change)
		e.env.observe(slug, time.Since(start))
		if !e.settle(i, r) {
			e.env.overruns.add(slug, -1)
			return
		}
	}
}

// settle records the result of a guardrail unless it has one; it reports whether this was the first.
func (e *evaluation) settle(i int, r policy.Result) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.settleLocked(i, r)
}

func (e *evaluation) settleLocked(i int, r policy.Result) bool {
	if e.results[i].Guardrail != nil {
		return false
	}
	e.results[i] = r
	if e.left--; e.left == 0 {
		close(e.done)
	}
	return true
}

// giveUpStuck makes the guardrail that runs a failure if it has run for longer than the budget.
func (e *evaluation) giveUpStuck(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left == 0 || now.Sub(e.since) < e.env.budget {
		return false
	}
	return e.giveUpRunningLocked()
}

// giveUpRunningLocked makes the guardrail that runs a failure; it reports whether one did run.
func (e *evaluation) giveUpRunningLocked() bool {
	if e.next == 0 || !e.settleLocked(e.running, policy.Result{Guardrail: e.pending[e.running], Err: errOverrun}) {
		return false
	}
	e.env.overruns.add(e.pending[e.running].Slug, 1)
	return true
}

// giveUpAll makes every guardrail without a result a failure.
func (e *evaluation) giveUpAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.giveUpRunningLocked()
	for i := range e.pending {
		e.settleLocked(i, policy.Result{Guardrail: e.pending[i], Err: errOverrun})
	}
}
