package cluster

import "sync"

// memo remembers which namespaces have pods of some kind. Snapshots that hold the same pods share it, so that the guardrails
// that judge one change, and the fixes that are tried for it, look through a large cluster once.
type memo struct {
	mu    sync.Mutex
	names map[string][]string // sorted, by the question
}

// ask gives the names that answer the question, found by find where it is asked for the first time.
func (m *memo) ask(question string, find func() []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names, known := m.names[question]
	if !known {
		names = find()
		if m.names == nil {
			m.names = map[string][]string{}
		}
		m.names[question] = names
	}
	return names
}

// where gives the names of the namespaces for which holds holds, sorted.
func (s *Snapshot) where(question string, holds func(n *Namespace) bool) []string {
	return s.memo.ask(question, func() []string {
		var names []string
		for n := range s.All() {
			if holds(n) {
				names = append(names, n.Name)
			}
		}
		return names
	})
}
