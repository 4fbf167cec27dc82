package cluster

import (
	"fmt"
	"iter"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
)

// carried are the hashes of the labels that live pods of a namespace carry, sorted, those that are set per pod left out. They
// are made by the first reader that needs them and then shared by all snapshots that hold the namespace as it is.
type carried struct {
	once   sync.Once
	hashes []uint64
}

// Carrying yields the namespaces, sorted by name, in which live pods may carry all labels of one of the sets: every namespace in
// which some pods do, and few others. It is for finding the pods of a component that may run anywhere without looking at each
// pod of a large cluster.
func (s *Snapshot) Carrying(sets ...labels.Set) iter.Seq[*Namespace] {
	wanted := make([][]uint64, len(sets))
	for i, l := range sets {
		for k, v := range l {
			if notPerPod(k) {
				wanted[i] = append(wanted[i], hashLabel(k, v))
			}
		}
	}
	for i := range wanted {
		slices.Sort(wanted[i])
	}
	return func(yield func(*Namespace) bool) {
		names := s.where(fmt.Sprint("carrying ", wanted), func(n *Namespace) bool { return slices.ContainsFunc(wanted, n.mayCarry) })
		for _, name := range names {
			if n := s.Namespace(name); n != nil && !yield(n) {
				return
			}
		}
	}
}

func (n *Namespace) mayCarry(wanted []uint64) bool {
	x := &n.coverage.carried
	x.once.Do(func() {
		for _, w := range n.groups {
			for k, v := range w.Labels {
				x.hashes = append(x.hashes, hashLabel(k, v))
			}
		}
		slices.Sort(x.hashes)
		x.hashes = slices.Clip(slices.Compact(x.hashes))
	})
	for _, h := range wanted {
		if _, found := slices.BinarySearch(x.hashes, h); !found {
			return false
		}
	}
	return true
}

// hashLabel is FNV-1a. Labels that share a hash cost a look at some pods in vain.
func hashLabel(key, value string) uint64 {
	h := uint64(14695981039346656037)
	add := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	add(key)
	add("=") // no part of a key
	add(value)
	return h
}
