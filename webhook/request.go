package webhook

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// httpError is a request that Bulkhead cannot judge. It leaves as a real HTTP status, because only that makes the API
// server follow the webhook's failurePolicy.
type httpError struct {
	status  int
	message string
}

func (e *httpError) Error() string { return e.message }

func unjudgeable(status int, format string, args ...any) error {
	return &httpError{status, clip(printable(fmt.Sprintf(format, args...)), maxLine)}
}

// decodeRequest reads what r carries. What it does not know is an error, never an allowed request.
func decodeRequest(r *admissionv1.AdmissionRequest) (*reviewed, error) {
	switch r.Operation {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete:
	default:
		return nil, unjudgeable(http.StatusInternalServerError, "operation %q is none that Bulkhead judges; remove it from the webhook's rules", r.Operation)
	}
	if r.Namespace == "" {
		return nil, unjudgeable(http.StatusBadRequest, "the review has no request.namespace, and all that Bulkhead judges is in one")
	}
	name := r.Resource.Resource
	if r.Resource.Group != "" {
		name += "." + r.Resource.Group
	}
	if r.Resource.Version == "v1" {
		switch name {
		case "networkpolicies.networking.k8s.io":
			return decodePolicies(r)
		case "namespaces":
			return decodeNamespaces(r)
		case "pods":
			return decodePods(r)
		case "bindings":
			if _, err := harmless(r); err != nil {
				return nil, err
			}
			return decodeBinding(r)
		case "deployments.apps":
			return decodeTemplate(r, "Deployment")
		case "statefulsets.apps":
			return decodeTemplate(r, "StatefulSet")
		case "daemonsets.apps":
			return decodeTemplate(r, "DaemonSet")
		case "replicasets.apps":
			return decodeTemplate(r, "ReplicaSet")
		case "jobs.batch":
			return decodeTemplate(r, "Job")
		case "cronjobs.batch":
			return decodeTemplate(r, "CronJob")
		}
	}
	return nil, unjudgeable(http.StatusInternalServerError,
		"resource %q, version %q, is none that Bulkhead judges; remove it from the webhook's rules", name, r.Resource.Version)
}

// harmless gives the outcome for a subresource: nil where the caller judges it, skipped where it is one of the named
// ones, which change nothing that guardrails read, and an error for any other.
func harmless(r *admissionv1.AdmissionRequest, named ...string) (*reviewed, error) {
	switch {
	case r.SubResource == "":
		return nil, nil
	case slices.Contains(named, r.SubResource):
		return &reviewed{skip: skipSubresource}, nil
	}
	return nil, unjudgeable(http.StatusInternalServerError, "subresource %q of %q is none that Bulkhead knows; remove it from the webhook's rules",
		r.SubResource, r.Resource.Resource)
}

// decode reads one object of the request. Which ones a request carries follows from its operation, so where one is
// missing or of another kind, the review comes from no API server.
func decode[T any](r *admissionv1.AdmissionRequest, kind, field string, raw []byte) (*T, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return nil, unjudgeable(http.StatusInternalServerError, "request.%s is missing; a %s of %s carries it", field, r.Operation, r.Resource.Resource)
	}
	if r.Kind.Kind != kind {
		return nil, unjudgeable(http.StatusInternalServerError, "request.kind is %q, but objects of %s are of kind %s", r.Kind.Kind, r.Resource.Resource, kind)
	}
	out := new(T)
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, unjudgeable(http.StatusBadRequest, "request.%s is no %s: %v", field, kind, err)
	}
	return out, nil
}

// objects decodes the old object of an update or deletion and the new one of a creation or update; the other is nil.
func objects[T any](r *admissionv1.AdmissionRequest, kind string) (old, new *T, err error) {
	if r.Operation != admissionv1.Create {
		if old, err = decode[T](r, kind, "oldObject", r.OldObject.Raw); err != nil {
			return nil, nil, err
		}
	}
	if r.Operation != admissionv1.Delete {
		if new, err = decode[T](r, kind, "object", r.Object.Raw); err != nil {
			return nil, nil, err
		}
	}
	return old, new, nil
}

// place puts into an object what the request says about where it is; a creation may leave that out of the object.
func place(r *admissionv1.AdmissionRequest, meta *metav1.ObjectMeta) {
	meta.Namespace = r.Namespace
	if meta.Name == "" {
		meta.Name = r.Name
	}
}

func decodePolicies(r *admissionv1.AdmissionRequest) (*reviewed, error) {
	if out, err := harmless(r, "status"); out != nil || err != nil {
		return out, err
	}
	oldFields, newFields, err := objects[policyFields](r, "NetworkPolicy")
	if err != nil {
		return nil, err
	}
	old, new := oldFields.policy(), newFields.policy()
	if old != nil {
		place(r, &old.ObjectMeta)
	}
	if new != nil {
		place(r, &new.ObjectMeta)
	}
	if new == nil && old.DeletionTimestamp != nil {
		// A finalizer holds it up; whoever deleted it first has been judged. Its spec stays in force and is judged.
		return &reviewed{skip: skipDeletion}, nil
	}
	out := &reviewed{oldPolicy: old, newPolicy: new}
	if old != nil && new != nil {
		if old.DeletionTimestamp == nil {
			out.owner = policy.AddedOwner(old, new)
		}
		out.specKept = equality.Semantic.DeepEqual(old.Spec, new.Spec) && !policy.MarksLost(old, new)
		if out.specKept && out.owner == nil {
			// Labels, annotations, finalizers.
			return &reviewed{skip: skipUnchanged}, nil
		}
	}
	return out, nil
}

// decodeBinding reads a binding, the only way but an update in which a pod's labels change: the API server copies those
// of the binding.
func decodeBinding(r *admissionv1.AdmissionRequest) (*reviewed, error) {
	if r.Operation != admissionv1.Create {
		return nil, unjudgeable(http.StatusInternalServerError, "a binding can only be created, not %s", r.Operation)
	}
	fields, err := decode[bindingFields](r, "Binding", "object", r.Object.Raw)
	if err != nil {
		return nil, err
	}
	b := fields.binding()
	if len(b.Labels) == 0 {
		return &reviewed{skip: skipUnchanged}, nil
	}
	place(r, &b.ObjectMeta)
	return &reviewed{binding: b}, nil
}

func decodePods(r *admissionv1.AdmissionRequest) (*reviewed, error) {
	switch r.SubResource {
	case "binding":
		return decodeBinding(r)
	case "status": // carries labels
	default:
		if out, err := harmless(r, "ephemeralcontainers", "resize", "eviction"); out != nil || err != nil {
			return out, err
		}
	}
	if r.Operation == admissionv1.Delete {
		return &reviewed{skip: skipDeletion}, nil
	}
	oldFields, newFields, err := objects[podFields](r, "Pod")
	if err != nil {
		return nil, err
	}
	old, new := oldFields.pod(), newFields.pod()
	place(r, &new.ObjectMeta)
	switch {
	case !cluster.Governed(new):
		return &reviewed{skip: skipDeletion}, nil
	case old != nil && maps.Equal(old.Labels, new.Labels):
		return &reviewed{skip: skipUnchanged}, nil
	case old == nil && madeFromTemplate(new) && controllerManager(r.UserInfo.Username):
		return &reviewed{skip: skipControlled}, nil
	}
	if old != nil {
		place(r, &old.ObjectMeta)
	}
	return &reviewed{oldPod: old, newPod: new}, nil
}

// madeFromTemplate reports whether a controller made p from a template that has been judged when it was written: its
// author could not see a warning about p. Other API groups have kinds of the same names that nobody judged. Anybody can write
// such a reference, so it counts only from those who may be believed.
func madeFromTemplate(p *corev1.Pod) bool {
	ref := metav1.GetControllerOfNoCopy(p)
	if ref == nil {
		return false
	}
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	return (group == appsv1.GroupName || group == batchv1.GroupName) && slices.Contains(cluster.TemplateKinds[:], ref.Kind)
}

func decodeTemplate(r *admissionv1.AdmissionRequest, kind string) (*reviewed, error) {
	if out, err := harmless(r, "status", "scale"); out != nil || err != nil {
		return out, err
	}
	if r.Operation == admissionv1.Delete {
		return &reviewed{skip: skipDeletion}, nil
	}
	old, new, err := objects[templateFields](r, kind)
	if err != nil {
		return nil, err
	}
	out := &reviewed{kind: kind, newTemplate: templateOf(r, kind, new)}
	if out.newTemplate.Controlled && controllerManager(r.UserInfo.Username) {
		return &reviewed{skip: skipControlled}, nil
	}
	if old != nil {
		out.oldTemplate = templateOf(r, kind, old)
		if sameToPolicies(out.oldTemplate.Workload, out.newTemplate.Workload) {
			return &reviewed{skip: skipUnchanged}, nil
		}
	}
	return out, nil
}

func templateOf(r *admissionv1.AdmissionRequest, kind string, fields *templateFields) *cluster.Template {
	t := fields.template(kind)
	t.Workload.Namespace = r.Namespace
	if t.Workload.Name == "" {
		t.Workload.Name = r.Name
	}
	return t
}

// sameToPolicies reports whether no guardrail can tell the two templates apart.
func sameToPolicies(a, b *cluster.Workload) bool {
	return maps.Equal(a.Labels, b.Labels) && a.HostNetwork == b.HostNetwork && a.DNSPolicy == b.DNSPolicy &&
		slices.Equal(a.Ports, b.Ports) && a.SameUse(b)
}
