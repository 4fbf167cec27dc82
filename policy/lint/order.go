package lint

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// step is one policy that the manifests create, update or delete.
type step struct {
	object   *manifest.Object
	old, new *networkingv1.NetworkPolicy
}

// steps lists the policies that change, in an order that does not depend on that of the manifests.
func (j *judge) steps() []step {
	var out []step
	named := map[manifest.Key]bool{}
	for i := range j.Objects {
		o := &j.Objects[i]
		named[o.Key()] = true
		s := step{object: o, new: o.NetworkPolicy()}
		if s.new == nil || j.exempt(o) {
			continue
		}
		if old := j.base[o.Key()]; old != nil {
			if s.old = old.NetworkPolicy(); equality.Semantic.DeepEqual(s.old.Spec, s.new.Spec) {
				continue
			}
		}
		out = append(out, s)
	}
	for i := range j.Base {
		o := &j.Base[i]
		if !j.Alone && j.Prune && !named[o.Key()] && o.NetworkPolicy() != nil && !j.exempt(o) {
			out = append(out, step{object: o, old: o.NetworkPolicy()})
		}
	}
	slices.SortFunc(out, func(a, b step) int { return compareKeys(a.object, b.object) })
	return out
}

// The bounds of how often policies are judged while an order is looked for. Within them the order is the best that
// trying one policy after the other finds; past them the policies that are left are taken as they come.
const (
	judgementsEach = 20
	judgementsMore = 2000
)

// inTurn applies the policies to s one after the other, those first that are clean, and gives the cluster after all of
// them.
func (j *judge) inTurn(s *cluster.Snapshot, steps []step) *cluster.Snapshot {
	left := judgementsEach*len(steps) + judgementsMore
	for len(steps) > 0 && !j.stopped {
		var stuck []*outcome
		var waiting []step
		for i := range steps {
			if !j.step() {
				return s
			}
			left--
			o := j.policy(s, &steps[i])
			if len(o.findings) > 0 && left > 0 {
				stuck, waiting = append(stuck, o), append(waiting, steps[i])
				continue
			}
			s = j.apply(o)
		}
		if len(waiting) == len(steps) { // all were judged in the same cluster
			least := leastSevere(stuck)
			s = j.apply(stuck[least])
			waiting = slices.Delete(waiting, least, least+1)
		}
		j.done -= len(waiting)
		steps = waiting
	}
	return s
}

// leastSevere gives the index of the outcome whose violations weigh least; the first of equals.
func leastSevere(outcomes []*outcome) int {
	least := 0
	for i, o := range outcomes {
		if cmp.Or(cmp.Compare(o.worst, outcomes[least].worst), cmp.Compare(len(o.findings), len(outcomes[least].findings))) < 0 {
			least = i
		}
	}
	return least
}

// apply notes what was said about a policy and gives the cluster with it.
func (j *judge) apply(o *outcome) *cluster.Snapshot {
	j.outcomes = append(j.outcomes, o)
	after := o.change.After
	if len(o.findings) == 0 {
		o.change, o.results = nil, nil // thousands of clusters would be a lot to hold
	}
	return after
}

func (j *judge) policy(s *cluster.Snapshot, step *step) *outcome {
	c, err := policy.PolicyChange(s, step.old, step.new)
	if err != nil {
		panic(err) // the reader compiles every policy, and refuses one that does not
	}
	return j.evaluate(step.object, c)
}
