package policy

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// AddedOwner gives the first owner that an update names and the stored policy does not; nil where there is none. The garbage
// collector finds an owner by all four of these fields and takes one that it does not find for gone, so another name or kind with
// the same UID is another owner. Source: kube-controller-manager, garbagecollector.attemptToDeleteItem.
func AddedOwner(old, new *networkingv1.NetworkPolicy) *metav1.OwnerReference {
	for i := range new.OwnerReferences {
		o := &new.OwnerReferences[i]
		if !slices.ContainsFunc(old.OwnerReferences, func(had metav1.OwnerReference) bool {
			return had.UID == o.UID && had.Name == o.Name && had.Kind == o.Kind && had.APIVersion == o.APIVersion
		}) {
			return o
		}
	}
	return nil
}

// CollectionChange describes what the garbage collector does with a policy that gets an owner: it deletes the policy once its
// owners are gone, and nobody can object then. So the update that adds the owner is judged as the deletion that may follow.
func CollectionChange(s *cluster.Snapshot, old *networkingv1.NetworkPolicy, owner *metav1.OwnerReference) (*Change, error) {
	c, err := PolicyChange(s, old, nil)
	if err != nil {
		return nil, err
	}
	c.Owner = owner.Kind + " " + owner.Name
	return c, nil
}

// collected says of a violation of the later deletion that the policy's new owner brings it about.
func (v Violation) collected(owner string) Violation {
	said := "will be deleted by the garbage collector with " + owner + "; "
	v.Field = "metadata.ownerReferences"
	v.Detail = said + v.Detail
	if v.Headline != "" {
		v.Headline = said + v.Headline
	}
	if v.Reason != "" {
		v.Reason = said + v.Reason
	}
	return v
}

// Both puts together what was decided about two changes that one request makes.
func Both(a, b Decision) Decision {
	out := Decision{
		Allowed: a.Allowed && b.Allowed, Findings: slices.Concat(a.Findings, b.Findings), FailureAction: config.Stricter(a.FailureAction, b.FailureAction),
		Undecided: a.Undecided || b.Undecided,
	}
	for _, f := range slices.Concat(a.Failures, b.Failures) {
		if !slices.ContainsFunc(out.Failures, func(o Failure) bool { return o.Guardrail == f.Guardrail }) {
			out.Failures = append(out.Failures, f)
		}
	}
	out.sort()
	return out
}
