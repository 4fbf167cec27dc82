package webhook

import (
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

// BenchmarkHandle judges typical requests with the real guardrails in a cluster of 50 namespaces, 500 policies and 5,000
// pods.
func BenchmarkHandle(b *testing.B) {
	builder := cluster.NewBuilder(cluster.Options{})
	dns := map[string]string{"k8s-app": "kube-dns"}
	builder.SetNamespace(namespaceOf("kube-system"))
	builder.SetService(cluster.ServiceOf(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"},
		Spec: corev1.ServiceSpec{Selector: dns, ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{
			{Protocol: corev1.ProtocolUDP, Port: 53}, {Protocol: corev1.ProtocolTCP, Port: 53},
		}},
	}))
	resolver := podOf("coredns-1", dns)
	resolver.Namespace = "kube-system"
	builder.SetPod(cluster.PodOf(resolver))
	for n := range 50 {
		namespace := fmt.Sprintf("ns-%d", n)
		if n == 0 {
			namespace = "shop"
		}
		builder.SetNamespace(namespaceOf(namespace))
		for i := range 100 {
			p := podOf(fmt.Sprintf("p-%d", i), map[string]string{"app": fmt.Sprintf("app-%d", i%10), "pod-template-hash": "5d8f"})
			p.Namespace = namespace
			builder.SetPod(cluster.PodOf(p))
		}
		for i := range 10 {
			np := typicalPolicy(fmt.Sprintf("np-%d", i), fmt.Sprintf("app-%d", i))
			np.Namespace = namespace
			builder.SetPolicy(compiled(b, np))
		}
	}
	all := guardrails.All()
	h := newBench(b, builder.Snapshot(), all, config.Default(nil), namespaceOf("shop"))
	cfg := configOf(b, all, deny)
	h.config = func() *config.Config { return cfg }
	h.logger = discard()

	relabelled := podOf("p-1", map[string]string{"app": "app-2"})
	old := podOf("p-1", map[string]string{"app": "app-1"})
	for _, bm := range []struct {
		name    string
		request *admissionv1.AdmissionRequest
	}{
		{"PolicyCreate", admissionRequest(b, create, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", nil, typicalPolicy("new", "app-3"))},
		{"PolicyMetadataUpdate", admissionRequest(b, update, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", typicalPolicy("np-1", "app-1"), typicalPolicy("np-1", "app-1"))},
		{"PodLabelUpdate", admissionRequest(b, update, "", "pods", "", "Pod", old, relabelled)},
		{"PodStatusSkipped", admissionRequest(b, update, "", "pods", "status", "Pod", old, old)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			req := admission.Request{AdmissionRequest: *dryRun(bm.request)}
			if got := h.Handle(b.Context(), req); got.UID != "" || !got.Allowed && got.Result == nil {
				b.Fatalf("not judged: %+v", got)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Handle(b.Context(), req)
			}
		})
	}
}

// typicalPolicy isolates one application both ways, and lets it talk to the resolver, one peer and the Internet.
func typicalPolicy(name, app string) *networkingv1.NetworkPolicy {
	udp, tcp := corev1.ProtocolUDP, corev1.ProtocolTCP
	port := func(p *corev1.Protocol, n int32) networkingv1.NetworkPolicyPort {
		number := intstr.FromInt32(n)
		return networkingv1.NetworkPolicyPort{Protocol: p, Port: &number}
	}
	return policyOf(name, func(np *networkingv1.NetworkPolicy) {
		np.Spec.PodSelector.MatchLabels = map[string]string{"app": app}
		np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-1"}}}},
			Ports: []networkingv1.NetworkPolicyPort{port(&tcp, 8080)},
		}}
		np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
			To: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "kube-system"}},
				PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
			}},
			Ports: []networkingv1.NetworkPolicyPort{port(&udp, 53), port(&tcp, 53)},
		}, {
			To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "203.0.113.0/24"}}},
			Ports: []networkingv1.NetworkPolicyPort{port(&tcp, 443)},
		}}
	})
}
