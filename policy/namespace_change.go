package policy

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// NamespaceChange describes the update of a Namespace's labels in the cluster that s shows. No pod and no policy
// changes, but namespaceSelectors then match other namespaces.
func NamespaceChange(s *cluster.Snapshot, old, new *corev1.Namespace) *Change {
	before := s.WithNamespace(old)
	return &Change{
		Kind: "Namespace", Namespace: new.Name, Name: new.Name, Operation: Update, Trigger: NamespaceWrite,
		Before: before, After: before.WithNamespace(new), OldLabels: labels.Set(old.Labels), NewLabels: labels.Set(new.Labels),
		base: s, oldNamespace: old, newNamespace: new,
	}
}
