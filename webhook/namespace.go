package webhook

import (
	"maps"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
)

// namespaceFields are those of corev1.Namespace.
type namespaceFields struct {
	Metadata metaFields `json:"metadata"`
}

// namespace names the object as the request does, nil where n is: the API server sets request.namespace of a Namespace
// to its own name.
func (n *namespaceFields) namespace(name string) *corev1.Namespace {
	if n == nil {
		return nil
	}
	out := &corev1.Namespace{ObjectMeta: n.Metadata.meta()}
	out.Name = name
	return out
}

// decodeNamespaces reads the update of a Namespace, or of its status or finalizers, which carry labels too.
func decodeNamespaces(r *admissionv1.AdmissionRequest) (*reviewed, error) {
	switch r.SubResource {
	case "status", "finalize":
	default:
		if out, err := harmless(r); out != nil || err != nil {
			return out, err
		}
	}
	switch r.Operation {
	case admissionv1.Create:
		return &reviewed{skip: skipUnchanged}, nil // it has neither pods nor policies yet
	case admissionv1.Delete:
		return &reviewed{skip: skipDeletion}, nil
	}
	oldFields, newFields, err := objects[namespaceFields](r, "Namespace")
	if err != nil {
		return nil, err
	}
	old, new := oldFields.namespace(r.Namespace), newFields.namespace(r.Namespace)
	switch {
	case old.DeletionTimestamp != nil:
		return &reviewed{skip: skipDeletion}, nil
	case maps.Equal(old.Labels, new.Labels):
		return &reviewed{skip: skipUnchanged}, nil
	}
	return &reviewed{oldNamespace: old, newNamespace: new}, nil
}
