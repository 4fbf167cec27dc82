package cluster

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
)

// reads are the keys of pod labels that the policies of a namespace select on: in the namespace itself, and in others. They are made
// by the first reader that needs them and then shared by all snapshots that hold the namespace as it is.
type reads struct {
	once         sync.Once
	own, foreign map[string]bool
}

// Reads reports whether a policy anywhere in the cluster selects on the key of one of these labels where it looks at pods of the
// namespace.
func (s *Snapshot) Reads(namespace string, set labels.Set) bool {
	read := func(keys map[string]bool) bool {
		for k := range set {
			if keys[k] {
				return true
			}
		}
		return false
	}
	if s.tiers != nil {
		for _, p := range slices.Concat(s.tiers.Policies[:]...) {
			if slices.ContainsFunc(p.PodKeys(), set.Has) {
				return true
			}
		}
	}
	if n := s.Namespace(namespace); n != nil && read(n.readKeys().own) {
		return true
	}
	for n := range s.All() {
		if read(n.readKeys().foreign) {
			return true
		}
	}
	return false
}

func (n *Namespace) readKeys() *reads {
	n.reads.once.Do(func() {
		n.reads.own, n.reads.foreign = map[string]bool{}, map[string]bool{}
		for _, p := range n.Policies {
			own, foreign := p.PodKeys()
			for _, k := range own {
				n.reads.own[k] = true
			}
			for _, k := range foreign {
				n.reads.foreign[k] = true
			}
		}
	})
	return n.reads
}
