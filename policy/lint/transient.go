package lint

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// passing takes away what holds only until the rest has been applied. Of two policies for the same pods, one for DNS and one for
// a database, either cuts what the other one allows where it comes first, and no order is without that. Onto a cluster where
// pods run the webhook would refuse the first one all the same, so there only warnings go.
func (j *judge) passing(final *cluster.Snapshot) {
	for _, o := range j.outcomes {
		if len(o.findings) == 0 || j.stopped {
			continue
		}
		inTheEnd := j.evaluate(o.object, o.change.EndingIn(final))
		goes := func(guardrail string, a config.Action) bool {
			return (j.Alone || a == config.Warn) &&
				!slices.ContainsFunc(inTheEnd.findings, func(f policy.Finding) bool { return f.Guardrail == guardrail })
		}
		o.dropFindings(goes)
	}
}

// dropFindings takes findings away, and the violations behind them where none of their guardrail is left.
func (o *outcome) dropFindings(which func(guardrail string, a config.Action) bool) {
	gone := map[string]bool{}
	left := slices.DeleteFunc(slices.Clone(o.findings), func(f policy.Finding) bool {
		goes := which(f.Guardrail, f.Action)
		gone[f.Guardrail] = gone[f.Guardrail] || goes
		return goes
	})
	for i := range left {
		delete(gone, left[i].Guardrail)
	}
	for i := range o.results {
		if r := &o.results[i]; gone[r.Guardrail.Slug] {
			r.Violations = nil
		}
	}
	o.keep(left)
}
