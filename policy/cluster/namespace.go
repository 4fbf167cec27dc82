package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// WithNamespace gives the cluster as it is once the Namespace object is stored with these labels.
func (s *Snapshot) WithNamespace(ns *corev1.Namespace) *Snapshot {
	out := s.change(ns.Name, func(n *Namespace) {
		n.Known, n.Labels = true, labels.Set(ns.Labels)
		n.Terminating = ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating
	})
	out.index = &namespaceIndex{}
	return out
}
