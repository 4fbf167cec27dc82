package cluster

import (
	"slices"
	"sync"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Coverage tells for the live workloads of a namespace which policies select them.
type Coverage struct {
	// Policies of the namespace, sorted by name.
	Policies []*netpol.Policy
	// Workloads are the live ones, sorted.
	Workloads []Covered
	// Foreign are by netpol.Direction the rules that can match peers in other namespaces: rules of policies that isolate in
	// that direction, without peers or with a peer that has a namespaceSelector.
	Foreign [2][]RuleRef
	// ForeignKeys are the label keys by which the Foreign rules tell pods apart, sorted.
	ForeignKeys []string
	// Open are by netpol.Direction the indexes of the workloads that no policy isolates in that direction, those on the
	// host network among them.
	Open [2][]int32
}

// Covered is a workload together with the policies that select it.
type Covered struct {
	*Workload
	// Policies are indexes into Coverage.Policies.
	Policies []int32
	// Isolated says by netpol.Direction whether one of them isolates the workload.
	Isolated [2]bool
}

// RuleRef is one rule and the index of its policy.
type RuleRef struct {
	Policy int32
	Rule   *netpol.Rule
}

// coverage is made by the first reader that needs it and then shared by all snapshots that hold the namespace as it is.
type coverage struct {
	once sync.Once
	made *Coverage

	carried carried
}

// Coverage gives the coverage of a namespace.
func (s *Snapshot) Coverage(n *Namespace) *Coverage {
	if !covers(n.splitKeys, n.ownKeys) || !covers(n.splitKeys, s.foreignKeys) {
		return Cover(n.Policies, s.Live(n)) // as fine as this snapshot needs it, so not to be shared
	}
	n.coverage.once.Do(func() { n.coverage.made = Cover(n.Policies, s.Live(n)) })
	return n.coverage.made
}

// Cover works out which of the policies of one namespace select which of its workloads.
func Cover(policies []*netpol.Policy, workloads []*Workload) *Coverage {
	c := &Coverage{Policies: policies, Workloads: make([]Covered, 0, len(workloads))}
	for i, p := range policies {
		for _, d := range netpol.Directions {
			if !p.Isolates[d] {
				continue
			}
			for j := range p.Rules[d] {
				if r := &p.Rules[d][j]; r.Foreign() {
					c.Foreign[d] = append(c.Foreign[d], RuleRef{int32(i), r})
					c.ForeignKeys = appendPodKeys(c.ForeignKeys, r)
				}
			}
		}
	}
	slices.Sort(c.ForeignKeys)
	c.ForeignKeys = slices.Compact(c.ForeignKeys)
	for at, w := range workloads {
		covered := Covered{Workload: w}
		e := w.Endpoint(nil) // a policy selects by the pod's own labels alone
		for i, p := range policies {
			if !p.Selects(e) {
				continue
			}
			covered.Policies = append(covered.Policies, int32(i))
			for _, d := range netpol.Directions {
				covered.Isolated[d] = covered.Isolated[d] || p.Isolates[d]
			}
		}
		for d, isolated := range covered.Isolated {
			if !isolated {
				c.Open[d] = append(c.Open[d], int32(at))
			}
		}
		c.Workloads = append(c.Workloads, covered)
	}
	return c
}

// appendPodKeys adds the label keys that the podSelectors of the rule's peers read.
func appendPodKeys(to []string, r *netpol.Rule) []string {
	for i := range r.Peers {
		if pods := r.Peers[i].Pods; pods != nil {
			to = append(to, pods.Keys()...)
		}
	}
	return to
}

// Owner is what made pods of a workload.
type Owner struct {
	Kind, Name string
	// Pods counts those that it made; 0 for a template.
	Pods int
}

// Owners lists what made the workload's pods, in no order: one owner, unless several have pods that no policy tells
// apart.
func (w *Workload) Owners() []Owner {
	if len(w.variants) == 0 {
		return []Owner{{w.Kind, w.Name, w.Pods}}
	}
	if first := w.variants[0].owner; !slices.ContainsFunc(w.variants, func(v variantCount) bool { return v.owner != first }) {
		o, pods := first.Value(), 0
		for _, v := range w.variants {
			pods += v.pods
		}
		return []Owner{{o.kind, o.name, pods}}
	}
	pods := map[owner]int{}
	for _, v := range w.variants {
		pods[v.owner.Value()] += v.pods
	}
	out := make([]Owner, 0, len(pods))
	for o, n := range pods {
		out = append(out, Owner{o.kind, o.name, n})
	}
	return out
}

// Same reports whether no policy can tell the two apart: workloads of the same namespace, owner, labels and ports.
// How many pods they have does not matter.
func (w *Workload) Same(other *Workload) bool {
	return w == other || w.Template == other.Template && compareWorkloads(w, other) == 0
}
