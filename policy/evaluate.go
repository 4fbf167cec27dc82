package policy

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Finding is a violation together with the guardrail that found it and what is done about it.
type Finding struct {
	Guardrail string
	Action    config.Action
	// WouldDeny says that the violation is denied, or would be if the guardrail's action were Deny and maximumAction no bound.
	// What bounds the action because of what the violation is about holds: templates and effects on no live pod only warn.
	WouldDeny bool
	Violation
}

// Failure says that a guardrail could not be evaluated. It is never a violation.
type Failure struct {
	Guardrail string
	// Err is for the platform team's log; developers see generic words.
	Err error
}

// Decision is the outcome of one change.
type Decision struct {
	Allowed bool
	// Findings are sorted: strictest action first, then by guardrail and field. Findings of action Off do not occur.
	Findings []Finding
	// Failures are the guardrails that could not be evaluated, sorted by slug.
	Failures []Failure
	// FailureAction is what the config does about failures, bounded by its maximumAction.
	FailureAction config.Action
	// Undecided says that every guardrail failed: there is no decision to give.
	Undecided bool
}

// Result is what one guardrail said about a change.
type Result struct {
	Guardrail  *Guardrail
	Violations []Violation
	Err        error
}

// Applicable gives the guardrails that judge the change under the config, in the order of the list.
func Applicable(cfg *config.Config, guardrails []Guardrail, c *Change) []*Guardrail {
	out := make([]*Guardrail, 0, len(guardrails))
	for i := range guardrails {
		g := &guardrails[i]
		if g.Runs(c.Trigger) && cfg.Settings(g.Slug).Action != config.Off {
			out = append(out, g)
		}
	}
	return out
}

// PanicError is the failure of a guardrail that panicked.
type PanicError struct {
	// Value is what it panicked with, which may be text of the request.
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Check runs one guardrail. A panic becomes the result's error: it is the guardrail's fault, not the request's.
func Check(cfg *config.Config, g *Guardrail, c *Change) (r Result) {
	r.Guardrail = g
	defer func() {
		if p := recover(); p != nil {
			r.Violations, r.Err = nil, &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	r.Violations = g.Check(c, cfg.Settings(g.Slug).Parameters)
	return r
}

// Evaluate runs the applicable guardrails one after the other and decides.
func Evaluate(cfg *config.Config, guardrails []Guardrail, c *Change) Decision {
	applicable := Applicable(cfg, guardrails, c)
	results := make([]Result, 0, len(applicable))
	for _, g := range applicable {
		results = append(results, Check(cfg, g, c))
	}
	return Decide(cfg, c, results)
}

// Decide turns what the guardrails said into a decision. Fixes that do not hold when tried are dropped.
func Decide(cfg *config.Config, c *Change, results []Result) Decision {
	d := Decision{Allowed: true, FailureAction: cfg.ActionOnError()}
	denies := map[*Guardrail]bool{}
	for _, r := range results {
		if r.Err != nil {
			d.Failures = append(d.Failures, Failure{r.Guardrail.Slug, r.Err})
			continue
		}
		for _, v := range r.Violations {
			action := actionOf(cfg, r.Guardrail, c, &v)
			if action == config.Off {
				continue
			}
			denies[r.Guardrail] = denies[r.Guardrail] || action == config.Deny
			d.Findings = append(d.Findings, Finding{
				Guardrail: r.Guardrail.Slug, Action: action, WouldDeny: action == config.Deny || wouldDeny(r.Guardrail, c, &v), Violation: v,
			})
		}
	}
	for i := range d.Findings {
		f := &d.Findings[i]
		if f.Fix != nil && !tried(cfg, c, results, denies, f) {
			f.Fix = nil
		}
		d.Allowed = d.Allowed && f.Action != config.Deny
		if c.places != nil {
			f.Violation = f.placed(c.places)
		}
		if c.Owner != "" {
			f.Violation = f.collected(c.Owner)
		}
	}
	if len(d.Failures) > 0 {
		if c.Cap != "" {
			d.FailureAction = config.AtMost(d.FailureAction, c.Cap)
		}
		if c.Owner != "" && !slices.ContainsFunc(results, func(r Result) bool { return r.Err != nil && r.Guardrail.ByRequester }) {
			d.FailureAction = config.AtMost(d.FailureAction, config.Warn)
		}
		d.Allowed = d.Allowed && d.FailureAction != config.Deny
		d.Undecided = len(d.Failures) == len(results)
	}
	d.sort()
	return d
}

// sort puts findings and failures into their order.
func (d *Decision) sort() {
	slices.SortStableFunc(d.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Action.Rank(), a.Action.Rank()), strings.Compare(a.Guardrail, b.Guardrail),
			strings.Compare(a.Field, b.Field), strings.Compare(a.Detail, b.Detail))
	})
	slices.SortFunc(d.Failures, func(a, b Failure) int { return strings.Compare(a.Guardrail, b.Guardrail) })
}

// actionOf is what is done about a violation under the config.
func actionOf(cfg *config.Config, g *Guardrail, c *Change, v *Violation) config.Action {
	return bounded(cfg.Settings(g.Slug).Action, g, c, v)
}

// wouldDeny reports whether the violation would be denied were the guardrail's action Deny. One that only describes changes has
// something to say about nearly all of them, and nobody means to deny those.
func wouldDeny(g *Guardrail, c *Change, v *Violation) bool {
	return !g.Describes && bounded(config.Deny, g, c, v) == config.Deny
}

// bounded bounds a guardrail's action by what the violation is about: templates warn, because whoever creates the
// pods would otherwise be refused out of the author's sight; effects that hit no live pod warn, and so do those that come only if
// the garbage collector deletes the policy.
func bounded(action config.Action, g *Guardrail, c *Change, v *Violation) config.Action {
	if !c.Rollout && (c.Trigger == TemplateWrite || g.LiveOnly && !v.Live) {
		action = config.AtMost(action, config.Warn)
	}
	if c.Owner != "" && !g.ByRequester {
		action = config.AtMost(action, config.Warn)
	}
	if g.AtMost != "" {
		action = config.AtMost(action, g.AtMost)
	}
	if c.Cap != "" {
		action = config.AtMost(action, c.Cap)
	}
	return action
}

// tried reports whether the fix of a finding holds; what is to be applied first is made such that it can be.
func tried(cfg *config.Config, c *Change, results []Result, denies map[*Guardrail]bool, f *Finding) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // an ill-made fix is not shown; the finding stands without it
		}
	}()
	if f.Action == config.Deny && len(f.Fix.First) > 0 {
		if f.Fix, ok = firstSteps(cfg, c, results, f.Fix); !ok {
			return false
		}
	}
	return holds(cfg, c, results, denies, f)
}

// holds tries the fix of a finding: its guardrail no longer complains at that place, and no guardrail that did not
// deny the change denies the fixed one.
func holds(cfg *config.Config, c *Change, results []Result, denies map[*Guardrail]bool, f *Finding) bool {
	fixed, err := c.WithFix(f.Fix)
	if err != nil {
		return false
	}
	for _, r := range results {
		own := r.Guardrail.Slug == f.Guardrail
		if r.Err != nil || !own && (denies[r.Guardrail] || cfg.Settings(r.Guardrail.Slug).Action != config.Deny) {
			continue // it denies already, or never does
		}
		again := Check(cfg, r.Guardrail, fixed)
		if again.Err != nil {
			return false
		}
		for i := range again.Violations {
			v := &again.Violations[i]
			if own && v.Field == f.Field && v.Live == f.Live || actionOf(cfg, r.Guardrail, fixed, v) == config.Deny && !denies[r.Guardrail] {
				return false
			}
		}
	}
	return true
}
