package policy

import (
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// selected is a workload that the changed policy selects before the change, after it or both.
type selected struct {
	workload *cluster.Workload
	was, is  bool
}

// policySubjects gives the workloads that the old or the new policy selects. Namespaces can hold thousands of them, and the
// policies beside the changed one are asked once about each.
func (c *Change) policySubjects() []Subject {
	namespaceLabels := c.After.NamespaceLabels(c.Namespace)
	var all []selected
	for _, w := range c.After.Candidates(c.After.Namespace(c.Namespace)) {
		e := w.Endpoint(namespaceLabels)
		if x := (selected{w, c.OldPolicy.SelectsAny(e), c.NewPolicy.SelectsAny(e)}); x.was || x.is {
			all = append(all, x)
		}
	}
	others := slices.DeleteFunc(slices.Clone(c.After.Policies(c.Namespace)), func(p *netpol.Policy) bool { return p.Name == c.Name })
	at, _ := slices.BinarySearchFunc(others, c.Name, func(p *netpol.Policy, name string) int { return strings.Compare(p.Name, name) })
	subjects := make([]Subject, 0, len(all))
	var lists []*netpol.Policy // of all subjects, one after the other
	for _, x := range all {
		e := x.workload.Endpoint(namespaceLabels)
		first := len(lists)
		lists = appendSelecting(lists, others[:at], e)
		place := len(lists) - first
		lists = appendSelecting(lists, others[at:], e)
		beside := slices.Clip(lists[first:])
		s := Subject{Workload: x.workload, Existed: true, Before: Coverage{e, beside, c.Before.Tiers()}, After: Coverage{e, beside, c.After.Tiers()}}
		if x.was {
			s.Before.Policies, lists = insert(lists, beside, place, c.OldPolicy)
		}
		if x.is {
			s.After.Policies, lists = insert(lists, beside, place, c.NewPolicy)
		}
		subjects = append(subjects, s)
	}
	return subjects
}

// insert gives the list beside with p at its place, made at the end of lists.
func insert(lists, beside []*netpol.Policy, place int, p *netpol.Policy) (list, all []*netpol.Policy) {
	first := len(lists)
	lists = append(lists, beside[:place]...)
	lists = append(lists, p)
	lists = append(lists, beside[place:]...)
	return slices.Clip(lists[first:]), lists
}

func selecting(policies []*netpol.Policy, e netpol.Endpoint) []*netpol.Policy {
	return appendSelecting(nil, policies, e)
}

func appendSelecting(to, policies []*netpol.Policy, e netpol.Endpoint) []*netpol.Policy {
	for _, p := range policies {
		if p.Selects(e) {
			to = append(to, p)
		}
	}
	return to
}

// EndingIn gives a change of a policy as a part of a larger one: what the policy does, and in the end the cluster is as final
// shows it, with all the others that come after it.
func (c *Change) EndingIn(final *cluster.Snapshot) *Change {
	out := &Change{
		Kind: c.Kind, Namespace: c.Namespace, Name: c.Name, Trigger: c.Trigger, Operation: c.Operation, Before: c.Before, After: final,
		OldPolicy: c.OldPolicy, NewPolicy: c.NewPolicy, Object: c.Object, OldObject: c.OldObject, base: c.base,
		Subjects: slices.Clone(c.Subjects),
	}
	out.circumstancesOf(c)
	policies := final.Policies(c.Namespace)
	for i := range out.Subjects {
		after := &out.Subjects[i].After
		after.Policies, after.Tiers = selecting(policies, after.Endpoint), final.Tiers()
	}
	return out
}
