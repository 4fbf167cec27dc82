package manifest

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// NetworkPolicy gives the policy with the defaults that the API server sets; nil for an object of another kind. It must
// not be changed.
func (o *Object) NetworkPolicy() *networkingv1.NetworkPolicy { return o.policy }

// WritesPolicyTypes reports whether the policy itself says its policyTypes, rather than the API server in its place. For an
// object of another kind it is false, and for one that was stored nothing can be told by it.
func (o *Object) WritesPolicyTypes() bool { return o.writesTypes }

// NamespaceObject gives the Namespace with the label that the API server sets; nil for an object of another kind. It must
// not be changed.
func (o *Object) NamespaceObject() *corev1.Namespace {
	ns, _ := o.value.(*corev1.Namespace)
	return ns
}

// Workload gives a pod, or the pod template of an object that has one, as a workload. It is nil for any other object, and
// for a pod or template that another object controls.
func (o *Object) Workload() *cluster.Workload {
	switch v := o.value.(type) {
	case *cluster.Template:
		return v.Workload
	case *cluster.Pod:
		if o.controller.name == "" {
			return v.Workload()
		}
	}
	return nil
}

// Key identifies the object among those of a cluster.
func (o *Object) Key() Key { return Key(o.key()) }

// Key is the kind, namespace and name of an object, which no two objects of a cluster share.
type Key key

// storedPolicy sets what the API server sets before it stores a policy.
// Source: k8s.io/kubernetes/pkg/apis/networking/v1, SetDefaults_NetworkPolicy and SetDefaults_NetworkPolicyPort.
func storedPolicy(np *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	out := &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: np.Namespace, Name: np.Name, Labels: maps.Clone(np.Labels), Annotations: maps.Clone(np.Annotations),
		},
		Spec: *np.Spec.DeepCopy(),
	}
	delete(out.Annotations, corev1.LastAppliedConfigAnnotation) // a copy of all of it, which nobody reads
	if len(out.Spec.PolicyTypes) == 0 {
		out.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(out.Spec.Egress) > 0 {
			out.Spec.PolicyTypes = append(out.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	for i := range out.Spec.Ingress {
		defaultProtocol(out.Spec.Ingress[i].Ports)
	}
	for i := range out.Spec.Egress {
		defaultProtocol(out.Spec.Egress[i].Ports)
	}
	return out
}

func defaultProtocol(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			tcp := corev1.ProtocolTCP
			ports[i].Protocol = &tcp
		}
	}
}
