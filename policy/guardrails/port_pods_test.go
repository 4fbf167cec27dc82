package guardrails

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// TestRolloutBringsPort: a policy that comes with the new template of a Deployment finds pods of the old one. What the next
// rollout brings counts as there.
func TestRolloutBringsPort(t *testing.T) {
	template := func(ports ...corev1.ContainerPort) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "api", "pod-template-hash": "5d8f"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Ports: ports}}},
		}
	}
	old, new := corev1.ContainerPort{Name: "http", ContainerPort: 8080}, corev1.ContainerPort{Name: "metrics", ContainerPort: 9090}
	yes := true
	b := cluster.NewBuilder(cluster.Options{})
	b.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	running := template(old)
	pod := &corev1.Pod{ObjectMeta: running.ObjectMeta, Spec: running.Spec, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	pod.Namespace, pod.Name = "shop", "api-5d8f-0"
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "api-5d8f", Controller: &yes}}
	b.SetPod(cluster.PodOf(pod))
	deployment, _ := cluster.TemplateOf(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}, Spec: appsv1.DeploymentSpec{Template: template(old, new)},
	})
	b.SetTemplate(deployment)
	s := b.Snapshot()
	for _, test := range []struct {
		port    intstr.IntOrString
		check   func(*policy.Change, any) []policy.Violation
		violate bool
	}{
		{intstr.FromString("http"), checkNamedPort, false},
		{intstr.FromString("metrics"), checkNamedPort, false},
		{intstr.FromString("admin"), checkNamedPort, true},
		{intstr.FromInt32(8080), checkPortUndeclared, false},
		{intstr.FromInt32(9090), checkPortUndeclared, false},
		{intstr.FromInt32(9091), checkPortUndeclared, true},
	} {
		c, err := policy.PolicyChange(s, nil, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
				Ingress:     []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &test.port}}}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := test.check(c, nil); (len(got) > 0) != test.violate {
			t.Errorf("port %s: %v", test.port.String(), got)
		}
	}
}
