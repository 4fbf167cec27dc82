package lint

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
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
			if s.old = old.NetworkPolicy(); equality.Semantic.DeepEqual(s.old.Spec, s.new.Spec) && !policy.MarksLost(s.old, s.new) {
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

// The bounds of how often policies are judged while an order is looked for. Past them the policies that are left are taken
// as they come.
const (
	maxAttempts    = 4
	judgementsEach = 40
	judgementsMore = 4000
)

// attempt is one order of the policies and what was said in it.
type attempt struct {
	outcomes []*outcome
	final    *cluster.Snapshot
}

// weight counts the findings by action, the strictest first.
func (a *attempt) weight() (w [2]int) {
	for _, o := range a.outcomes {
		for i := range o.findings {
			if o.findings[i].Action == config.Deny {
				w[0]++
			} else {
				w[1]++
			}
		}
	}
	return w
}

// inTurn applies the policies to s one after the other and gives the cluster after all of them. A policy about which
// something is said may be clean where it comes before the others, such as one that allows everything before one that
// isolates. So those go first in another attempt, and the attempt that says least counts.
func (j *judge) inTurn(s *cluster.Snapshot, steps []step) *cluster.Snapshot {
	left := judgementsEach*len(steps) + judgementsMore
	best := j.attempt(s, steps, &left)
	promoted := map[manifest.Key]bool{}
	for last, n := best, 1; n < maxAttempts && left > 0 && !j.stopped; n++ {
		some := false
		for _, o := range last.outcomes {
			if k := o.object.Key(); len(o.findings) > 0 && !promoted[k] {
				promoted[k], some = true, true
			}
		}
		if !some {
			break
		}
		first := slices.Clone(steps)
		slices.SortStableFunc(first, func(a, b step) int { return cmp.Compare(rank(promoted, a), rank(promoted, b)) })
		last = j.attempt(s, first, &left)
		if before, after := best.weight(), last.weight(); slices.Compare(after[:], before[:]) < 0 {
			best = last
		}
	}
	j.outcomes = append(j.outcomes, best.outcomes...)
	return best.final
}

// rank sorts the promoted steps first.
func rank(promoted map[manifest.Key]bool, s step) int {
	if promoted[s.object.Key()] {
		return 0
	}
	return 1
}

// attempt applies the policies to s, those first that are clean. left is how many times policies may still be judged before
// they are taken as they come.
func (j *judge) attempt(s *cluster.Snapshot, steps []step, left *int) *attempt {
	out := &attempt{final: s}
	j.done = 0
	for len(steps) > 0 {
		var stuck []*outcome
		var waiting []step
		for i := range steps {
			if !j.step() {
				return out
			}
			*left--
			o := j.policy(out.final, &steps[i], false)
			if len(o.findings) > 0 && *left > 0 {
				stuck, waiting = append(stuck, o), append(waiting, steps[i])
				continue
			}
			out.apply(o)
		}
		if len(waiting) == len(steps) { // all were judged in the same cluster
			waiting = j.force(out, waiting, stuck)
		}
		j.done -= len(waiting)
		steps = waiting
	}
	return out
}

// apply notes what was said about a policy and goes on with the cluster after it.
func (a *attempt) apply(o *outcome) {
	a.outcomes, a.final = append(a.outcomes, o), o.change.After
	if len(o.findings) == 0 {
		o.change, o.results = nil, nil // thousands of clusters would be a lot to hold
	}
}

// force applies policies of which none is clean: of each namespace the one whose violations weigh least, if none elsewhere
// has a less strict action. It gives the policies that are left.
func (j *judge) force(out *attempt, steps []step, outcomes []*outcome) []step {
	mildest := outcomes[0].worst
	least := map[string]int{} // by namespace, the index
	for i, o := range outcomes {
		mildest = min(mildest, o.worst)
		best, ok := least[o.object.Namespace]
		if !ok || cmp.Or(cmp.Compare(o.worst, outcomes[best].worst), cmp.Compare(len(o.findings), len(outcomes[best].findings))) < 0 {
			least[o.object.Namespace] = i
		}
	}
	var left []step
	for i, o := range outcomes {
		if least[o.object.Namespace] == i && o.worst == mildest {
			out.apply(j.policy(out.final, &steps[i], false)) // the others that are applied may have changed what is to be said
		} else {
			left = append(left, steps[i])
		}
	}
	return left
}

// policy judges one policy in the cluster s; complete says that all the others are there.
func (j *judge) policy(s *cluster.Snapshot, step *step, complete bool) *outcome {
	c, err := policy.PolicyChange(s, step.old, step.new)
	if err != nil {
		panic(err) // the reader compiles every policy, and refuses one that does not
	}
	c.Complete = complete
	c.TypesWritten = step.new != nil && step.object.WritesPolicyTypes()
	return j.evaluate(step.object, c)
}
