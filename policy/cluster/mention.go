package cluster

import (
	"iter"
	"sync"
)

// mentions are the other namespaces whose Services the live pods of a namespace name. They are made by the first reader that
// needs them and then shared by all snapshots that hold the namespace as it is.
type mentions struct {
	once sync.Once
	made map[string]bool
}

// Mentioning yields the namespaces in which a live pod names a Service of the other one, as far as the name tells, sorted by name.
func (s *Snapshot) Mentioning(other string) iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		for _, name := range s.where("mentioning "+other, func(n *Namespace) bool { return n.Mentions(other) }) {
			if n := s.Namespace(name); n != nil && !yield(n) {
				return
			}
		}
	}
}

// Mentions reports whether a live pod of the namespace names a Service of the other one, as far as the name tells.
func (n *Namespace) Mentions(other string) bool {
	n.mentions.once.Do(func() {
		n.mentions.made = map[string]bool{}
		for _, w := range n.groups {
			for _, use := range w.Uses() {
				for i := range use.References {
					if name, ok := use.References[i].Service(n.Name); ok && name.Namespace != n.Name {
						n.mentions.made[name.Namespace] = true
					}
				}
			}
		}
	})
	return n.mentions.made[other]
}
