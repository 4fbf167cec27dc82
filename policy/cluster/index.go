package cluster

import (
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// namespaceIndex finds namespaces by one label. Snapshots share it until a namespace's labels change; it is made by
// the first reader that needs it. The label that repeats the namespace's name needs none.
type namespaceIndex struct {
	once    sync.Once
	byLabel map[[2]string][]string // sorted names
}

// candidates gives the sorted names among which sel can find something: those with one label that it demands, or all.
func (x *namespaceIndex) candidates(s *Snapshot, sel netpol.Selector) []string {
	if name, ok := sel.Exact(corev1.LabelMetadataName); ok {
		return []string{name}
	}
	source := sel.Source()
	if len(source.MatchLabels) == 0 {
		return s.names
	}
	x.once.Do(func() {
		x.byLabel = map[[2]string][]string{}
		for n := range s.All() {
			for k, v := range n.Labels {
				if k != corev1.LabelMetadataName {
					x.byLabel[[2]string{k, v}] = append(x.byLabel[[2]string{k, v}], n.Name)
				}
			}
		}
	})
	best, first := []string(nil), true
	for k, v := range source.MatchLabels {
		if names := x.byLabel[[2]string{k, v}]; first || len(names) < len(best) {
			best, first = names, false
		}
	}
	return best
}
