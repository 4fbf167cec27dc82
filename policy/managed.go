package policy

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// ManagedByKey is the annotation, or where there is none the label, by which a stored policy says who manages it.
const ManagedByKey = "bulkhead.dev/managed-by"

// ManagedBy gives who manages the policy as it says itself; empty where it does not say, and for nil.
func ManagedBy(np *networkingv1.NetworkPolicy) string {
	if np == nil {
		return ""
	}
	if by := np.Annotations[ManagedByKey]; by != "" {
		return by
	}
	return np.Labels[ManagedByKey]
}

// MarksLost reports whether an update takes an annotation away, or changes who manages the policy: all that guardrails read
// beside the spec.
func MarksLost(old, new *networkingv1.NetworkPolicy) bool {
	if ManagedBy(old) != ManagedBy(new) {
		return true
	}
	for k := range old.Annotations {
		if new.Annotations[k] == "" && k != corev1.LastAppliedConfigAnnotation {
			return true
		}
	}
	return false
}
