package lint

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// said identifies what a guardrail said about a field of an object.
type said struct {
	object           manifest.Key
	guardrail, field string
}

// asLast judges every policy once more as if all else had been applied before it. In the order that hurts least a policy
// that opens something may come before the one that shut it, and one half of a connection before the half that refuses it:
// nothing is said then, and in the end it is so all the same. Nor is anything still to come by then. What was said in that
// order is not said again, nor what two changes do to the same workloads together: of two policies that let DNS through and
// are deleted, the one that comes last cuts it.
func (j *judge) asLast(final *cluster.Snapshot, steps []step) {
	known := map[said]bool{}
	for _, o := range j.outcomes {
		for i := range o.findings {
			known[said{o.object.Key(), o.findings[i].Guardrail, o.findings[i].Field}] = true
		}
	}
	blamed := j.hits()
	for i := range steps {
		if !j.step() {
			return
		}
		j.done-- // it has been counted
		o := j.policy(final, &steps[i], true)
		o.again = true
		o.drop(func(guardrail, field string, affected []policy.Affected) bool {
			return known[said{o.object.Key(), guardrail, field}] || steps[i].old != nil && blamed.all(o.object.Namespace, guardrail, affected)
		})
		if len(o.findings) > 0 {
			j.outcomes = append(j.outcomes, o)
		}
	}
}

// drop takes away what was said and the violations behind it.
func (o *outcome) drop(which func(guardrail, field string, affected []policy.Affected) bool) {
	for i := range o.results {
		r := &o.results[i]
		r.Violations = slices.DeleteFunc(r.Violations, func(v policy.Violation) bool { return which(r.Guardrail.Slug, v.Field, v.Affected) })
	}
	o.keep(slices.DeleteFunc(o.findings, func(f policy.Finding) bool { return which(f.Guardrail, f.Field, f.Affected) }))
}
