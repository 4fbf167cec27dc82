package render

import (
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// merger makes lines of links: those that join the same two shapes become one with all their ports, and those that hold
// both ways on the same ports one with two heads.
type merger struct {
	limit int
	id    func(end) string
	order []pair
	ports map[pair]connectivity.Ports
	// full says that there were more than limit lines; the rest is not held.
	full bool
}

// pair is two shapes that a line joins.
type pair struct {
	from, to string
	fate     fate
}

func newMerger(limit int, id func(end) string) *merger {
	return &merger{limit: limit, id: id, ports: map[pair]connectivity.Ports{}}
}

// add takes one link and reports whether there was room for it.
func (m *merger) add(l fatedLink) bool {
	p := pair{m.id(l.from), m.id(l.to), l.fate}
	if p.from == p.to {
		return true // within a namespace that is drawn as one
	}
	if _, seen := m.ports[p]; !seen {
		if len(m.order) == m.limit {
			m.full = true
			return false
		}
		m.order = append(m.order, p)
	}
	m.ports[p] = m.ports[p].Union(l.ports)
	return true
}

// lines gives what was added, in the order in which it came.
func (m *merger) lines() []line {
	var out []line
	twoHeads := map[pair]bool{}
	for _, p := range m.order {
		back := pair{p.to, p.from, p.fate}
		if twoHeads[back] {
			continue
		}
		twoHeads[p] = !m.ports[back].Empty() && m.ports[back].Equal(m.ports[p])
		out = append(out, line{from: p.from, to: p.to, label: m.ports[p].String(), fate: p.fate, both: twoHeads[p]})
	}
	return out
}
