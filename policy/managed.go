package policy

import networkingv1 "k8s.io/api/networking/v1"

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
