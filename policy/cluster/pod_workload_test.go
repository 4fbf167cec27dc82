package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// TestPodWorkload: what is kept of a pod is the pod as a workload of its own, with its labels of every kind.
func TestPodWorkload(t *testing.T) {
	yes := true
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-1a-x", Labels: map[string]string{"app": "web", "pod-template-hash": "1a"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-1a", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			HostNetwork: true, DNSPolicy: corev1.DNSDefault,
			Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, phase := range []corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded} {
		p.Status.Phase = phase
		if diff := cmp.Diff(cluster.WorkloadOf(p), cluster.PodOf(p).Workload(), cmpopts.IgnoreUnexported(cluster.Workload{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", phase, diff)
		}
	}
	if kind, name := cluster.OwnerOf(p); kind != "Deployment" || name != "web" {
		t.Errorf("made by %s %s, want Deployment web", kind, name)
	}
}
