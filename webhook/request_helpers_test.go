package webhook

import (
	"encoding/json"
	"log/slog"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// admissionRequest makes a request for the object of a resource in namespace shop; nil objects are left out.
func admissionRequest(t testing.TB, operation admissionv1.Operation, group, resource, subresource, kind string, old, new any) *admissionv1.AdmissionRequest {
	t.Helper()
	return &admissionv1.AdmissionRequest{
		UID: "uid-1", Operation: operation, Namespace: "shop", Name: "thing",
		Resource:    metav1.GroupVersionResource{Group: group, Version: "v1", Resource: resource},
		Kind:        metav1.GroupVersionKind{Group: group, Version: "v1", Kind: kind},
		SubResource: subresource, Object: rawOf(t, new), OldObject: rawOf(t, old),
	}
}

// rawOf gives obj as JSON; text is taken as it is.
func rawOf(t testing.TB, obj any) runtime.RawExtension {
	t.Helper()
	switch o := obj.(type) {
	case nil:
		return runtime.RawExtension{}
	case string:
		return runtime.RawExtension{Raw: []byte(o)}
	}
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: data}
}

// policyOf makes a policy of namespace shop that isolates all pods of it for egress.
func policyOf(name string, edit ...func(np *networkingv1.NetworkPolicy)) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
	}
	for _, e := range edit {
		e(np)
	}
	return np
}

func podOf(name string, labels map[string]string, edit ...func(p *corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/api:1"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

func controlledBy(apiVersion, kind string) func(o *metav1.ObjectMeta) {
	yes := true
	return func(o *metav1.ObjectMeta) {
		o.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "maker", Controller: &yes}}
	}
}

func podTemplate(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "example.com/api:1"}}},
	}
}

// templateKind is one kind with a pod template.
type templateKind struct {
	group, resource, kind string
	object                func(labels map[string]string, edit ...func(o *metav1.ObjectMeta)) runtime.Object
}

func templateKinds() []templateKind {
	meta := func(edit []func(o *metav1.ObjectMeta)) metav1.ObjectMeta {
		o := metav1.ObjectMeta{Namespace: "shop", Name: "thing"}
		for _, e := range edit {
			e(&o)
		}
		return o
	}
	return []templateKind{
		{"apps", "deployments", "Deployment", func(l map[string]string, e ...func(o *metav1.ObjectMeta)) runtime.Object {
			return &appsv1.Deployment{ObjectMeta: meta(e), Spec: appsv1.DeploymentSpec{Template: podTemplate(l)}}
		}},
		{"apps", "statefulsets", "StatefulSet", func(l map[string]string, e ...func(o *metav1.ObjectMeta)) runtime.Object {
			return &appsv1.StatefulSet{ObjectMeta: meta(e), Spec: appsv1.StatefulSetSpec{Template: podTemplate(l)}}
		}},
		{"apps", "daemonsets", "DaemonSet", func(l map[string]string, e ...func(o *metav1.ObjectMeta)) runtime.Object {
			return &appsv1.DaemonSet{ObjectMeta: meta(e), Spec: appsv1.DaemonSetSpec{Template: podTemplate(l)}}
		}},
		{"apps", "replicasets", "ReplicaSet", func(l map[string]string, e ...func(o *metav1.ObjectMeta)) runtime.Object {
			return &appsv1.ReplicaSet{ObjectMeta: meta(e), Spec: appsv1.ReplicaSetSpec{Template: podTemplate(l)}}
		}},
		{"batch", "jobs", "Job", func(l map[string]string, e ...func(o *metav1.ObjectMeta)) runtime.Object {
			return &batchv1.Job{ObjectMeta: meta(e), Spec: batchv1.JobSpec{Template: podTemplate(l)}}
		}},
		{"batch", "cronjobs", "CronJob", func(l map[string]string, e ...func(o *metav1.ObjectMeta)) runtime.Object {
			return &batchv1.CronJob{ObjectMeta: meta(e), Spec: batchv1.CronJobSpec{
				JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: podTemplate(l)}},
			}}
		}},
	}
}

func operationOf(o admissionregistrationv1.OperationType) admissionv1.Operation {
	return admissionv1.Operation(o)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
