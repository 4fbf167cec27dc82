package audit

import (
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Stale gives the namespaces, sorted, whose result may differ between two snapshots of one Builder; those that are gone are among
// them. What it leaves out has the same result. Whoever changes the Options scans everything.
//
// A namespace is stale where it changed, where a rule of its policies selects a namespace that changed, where pods on one side name
// Services of the other, and where it has pods that some guardrail seeks anywhere, such as an ingress controller's. Everything is
// stale where such pods change, the resolver, the network plugin or what is about all namespaces.
func Stale(before, after *cluster.Snapshot, o *Options) []string {
	if before == after {
		return nil
	}
	x := staleness{before: before, after: after, stale: map[string]bool{}}
	question, seeks := o.seeks()
	for i, s := range [...]*cluster.Snapshot{before, after} {
		x.seeking[i] = s.Having(question, seeks)
	}
	changes := after.Since(before)
	if changes.Everywhere || len(changes.Relabelled) > 0 && after.Tiers() != nil || slices.ContainsFunc(changes.Namespaces, x.sought) {
		return x.names()
	}
	for _, name := range slices.Concat(changes.Namespaces, changes.Beside) {
		x.stale[name] = true
	}
	if len(changes.Namespaces)+len(changes.Beside) > 0 {
		for _, name := range x.names() {
			if !x.stale[name] && (x.refersTo(name, changes.Namespaces, len(changes.Relabelled) > 0) || x.serves(name)) {
				x.stale[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(x.stale))
}

// seeks tells the pods apart that the guardrails seek anywhere. The question says what it depends on.
func (o *Options) seeks() (question string, seeks func(*cluster.Workload) bool) {
	each, _ := o.split()
	var all []func(*cluster.Workload) bool
	question = "what guardrails seek under " + o.Config.Hash()
	for i := range each {
		settings := o.Config.Settings(each[i].Slug)
		if each[i].Seeks == nil || settings.Action == config.Off {
			continue
		}
		if seeks := each[i].Seeks(settings.Parameters); seeks != nil {
			all, question = append(all, seeks), question+" "+each[i].Slug
		}
	}
	return question, func(w *cluster.Workload) bool {
		return slices.ContainsFunc(all, func(seeks func(*cluster.Workload) bool) bool { return seeks(w) })
	}
}

// staleness compares two snapshots.
type staleness struct {
	before, after *cluster.Snapshot
	seeking       [2][]string // before and after, the namespaces with pods that some guardrail seeks anywhere; sorted
	stale         map[string]bool
}

// names lists the namespaces of both snapshots.
func (x *staleness) names() []string {
	var out []string
	for _, s := range [...]*cluster.Snapshot{x.before, x.after} {
		for n := range s.All() {
			out = append(out, n.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// serves reports whether the namespace has pods that serve all others, so that its policies are judged by what those lose.
func (x *staleness) serves(name string) bool {
	return name == x.after.Resolver().Namespace || x.sought(name)
}

// sought reports whether the namespace has, or had, pods that some guardrail seeks anywhere.
func (x *staleness) sought(name string) bool {
	return slices.ContainsFunc(x.seeking[:], func(names []string) bool {
		_, found := slices.BinarySearch(names, name)
		return found
	})
}

// refersTo reports whether the namespace, which itself did not change, depends on one of those that did: by the selector of a rule
// or by a Service that pods on either side name. Where namespaces are relabelled every namespaceSelector counts.
func (x *staleness) refersTo(name string, changed []string, relabelled bool) bool {
	n := x.after.Namespace(name)
	for _, p := range n.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				if x.selects(&rules[i], changed, relabelled) {
					return true
				}
			}
		}
	}
	return slices.ContainsFunc(changed, func(other string) bool {
		return n.Mentions(other) || templatesMention(n, other) || mentions(x.before, other, name) || mentions(x.after, other, name)
	})
}

// templatesMention is Namespace.Mentions of the pod templates.
func templatesMention(n *cluster.Namespace, other string) bool {
	return slices.ContainsFunc(n.Templates, func(w *cluster.Workload) bool {
		return slices.ContainsFunc(w.Uses(), func(u cluster.Use) bool {
			return slices.ContainsFunc(u.References, func(r cluster.Reference) bool {
				service, ok := r.Service(n.Name)
				return ok && service.Namespace == other
			})
		})
	})
}

func (x *staleness) selects(r *netpol.Rule, changed []string, relabelled bool) bool {
	return slices.ContainsFunc(r.Peers, func(p netpol.Peer) bool {
		return p.Namespaces != nil && (relabelled || slices.ContainsFunc(changed, func(name string) bool {
			return p.Namespaces.Matches(x.after.NamespaceLabels(name))
		}))
	})
}

func mentions(s *cluster.Snapshot, name, other string) bool {
	n := s.Namespace(name)
	return n != nil && n.Mentions(other)
}
