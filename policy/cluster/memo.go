package cluster

import (
	"slices"
	"sync"
)

// memo remembers which namespaces have pods of some kind. Snapshots that hold the same pods share it, so that the guardrails
// that judge one change, and the fixes that are tried for it, look through a large cluster once; and where some pods changed, the
// next memo looks again only at their namespaces.
type memo struct {
	mu      sync.Mutex
	answers map[string]answer // by the question
}

// answer is the sorted names of the namespaces for which the question holds, but for those that changed since.
type answer struct {
	names   []string
	changed []string
}

// The bounds of what a memo takes over from the last one: how many answers, and how many changed namespaces of each. Beyond
// them it is cheaper to look through all namespaces again.
const maxAnswers, maxChanged = 256, 64

// next gives the memo of a snapshot in which the namespaces have changed.
func (m *memo) next(changed []string) *memo {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &memo{}
	if len(m.answers) > maxAnswers {
		return out
	}
	for question, a := range m.answers {
		if len(a.changed)+len(changed) > maxChanged {
			continue
		}
		if out.answers == nil {
			out.answers = make(map[string]answer, len(m.answers))
		}
		out.answers[question] = answer{a.names, slices.Concat(a.changed, changed)}
	}
	return out
}

// where gives the names of the namespaces for which the question holds, sorted. They must not be changed.
func (s *Snapshot) where(question string, holds func(n *Namespace) bool) []string {
	m := s.memo
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.answers[question]
	switch {
	case !known:
		for n := range s.All() {
			if holds(n) {
				a.names = append(a.names, n.Name)
			}
		}
	case len(a.changed) > 0:
		a = answer{names: s.again(a, holds)}
	default:
		return a.names
	}
	if m.answers == nil {
		m.answers = map[string]answer{}
	}
	m.answers[question] = a
	return a.names
}

// Having gives the names of the namespaces with live pods of which some is true, sorted. They must not be changed. The answer is
// remembered by the question, which has to say all that some depends on.
func (s *Snapshot) Having(question string, some func(w *Workload) bool) []string {
	return s.where("having "+question, func(n *Namespace) bool { return slices.ContainsFunc(n.live, some) })
}

// again asks the changed namespaces.
func (s *Snapshot) again(a answer, holds func(n *Namespace) bool) []string {
	names := slices.Clone(a.names)
	for _, name := range a.changed {
		n := s.Namespace(name)
		at, had := slices.BinarySearch(names, name)
		switch has := n != nil && holds(n); {
		case has && !had:
			names = slices.Insert(names, at, name)
		case had && !has:
			names = slices.Delete(names, at, at+1)
		}
	}
	return names
}
