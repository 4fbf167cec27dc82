package webhook

import (
	"maps"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// reviewed is one request, decoded. Exactly one of the pairs is set, or skip says why nothing needs judging.
type reviewed struct {
	oldPolicy, newPolicy       *networkingv1.NetworkPolicy
	owner                      *metav1.OwnerReference // that an update of a policy adds
	specKept                   bool                   // owner is all of the update that is judged
	oldNamespace, newNamespace *corev1.Namespace
	oldPod, newPod             *corev1.Pod
	binding                    *corev1.Binding
	kind                       string // of a pod template's object
	oldTemplate, newTemplate   *cluster.Template
	// skip is why the request is allowed without being judged: one of a fixed set of words.
	skip string
}

// policyChange reports whether the request changes a NetworkPolicy.
func (r *reviewed) policyChange() bool { return r.oldPolicy != nil || r.newPolicy != nil }

// The reasons for which a request is allowed without being judged. The set is closed.
const (
	skipUnchanged   = "unchanged"   // nothing that a guardrail reads changed
	skipSubresource = "subresource" // a subresource that cannot change what guardrails read
	skipDeletion    = "deletion"    // of a pod or template, or of something that is being deleted already
	skipControlled  = "controlled"  // a pod made from a template that has been judged
)

// changes gives what the request does in the cluster that s shows: one change, or two where an update of a policy also adds an
// owner with which the policy may go later.
func (r *reviewed) changes(s *cluster.Snapshot) ([]*policy.Change, error) {
	var out []*policy.Change
	if !r.specKept {
		c, err := r.change(s)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if r.owner != nil {
		c, err := policy.CollectionChange(s, r.oldPolicy, r.owner)
		if err != nil {
			return nil, unjudgeable(http.StatusInternalServerError, "%v", err)
		}
		out = append(out, c)
	}
	return out, nil
}

// change gives what the request does at once.
func (r *reviewed) change(s *cluster.Snapshot) (*policy.Change, error) {
	switch {
	case r.newNamespace != nil:
		return policy.NamespaceChange(s, r.oldNamespace, r.newNamespace), nil
	case r.newTemplate != nil:
		var old *cluster.Workload
		if r.oldTemplate != nil {
			old = r.oldTemplate.Workload
		}
		return policy.WorkloadChange(s, r.kind, r.newTemplate.Workload.Name, old, r.newTemplate.Workload), nil
	case r.newPod != nil:
		var old *cluster.Workload
		if r.oldPod != nil {
			old = cluster.WorkloadOf(r.oldPod)
		}
		return policy.WorkloadChange(s, "Pod", r.newPod.Name, old, cluster.WorkloadOf(r.newPod)), nil
	}
	c, err := policy.PolicyChange(s, r.oldPolicy, r.newPolicy)
	if err != nil {
		// The API server validates before it asks webhooks, so this is no developer's mistake.
		return nil, unjudgeable(http.StatusInternalServerError, "%v", err)
	}
	return c, nil
}

// mergeLabels puts the binding's labels on a copy of the pod, as the API server does: they overwrite.
// Source: k8s.io/kubernetes/pkg/registry/core/pod/storage, copyLabelsWithOverwriting.
func mergeLabels(old *corev1.Pod, b *corev1.Binding) *corev1.Pod {
	out := old.DeepCopy()
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	maps.Copy(out.Labels, b.Labels)
	return out
}
