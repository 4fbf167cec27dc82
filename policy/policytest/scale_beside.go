package policytest

import (
	"fmt"

	certmanageracmev1 "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// nodesBeside is how many nodes FillBeside makes: one for some 150 pods of the largest cluster.
const nodesBeside = 1000

// FillBeside puts into b what stands beside pods and policies and what only some guardrails read: a Service for each workload,
// an Ingress and a ServiceMonitor in each tenant's namespace, a role binding in one of three, and what the cluster has once: an
// ingress controller, Prometheus, API servers, nodes, webhooks and an issuer.
func (s *Scaled) FillBeside(b *cluster.Builder) {
	for i := sharedNamespaces; i < s.namespaces; i++ {
		ns := s.Namespace(i).Name
		for _, obj := range s.Templates(i) {
			b.SetService(cluster.ServiceOf(&corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: obj.GetName(), Labels: map[string]string{"monitored": "yes"}},
				Spec: corev1.ServiceSpec{Selector: map[string]string{"app": obj.GetName()}, ClusterIPs: []string{"10.96.1.1"}, Ports: []corev1.ServicePort{
					{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}, {Name: "metrics", Port: 9090, TargetPort: intstr.FromString("metrics")},
				}},
			}))
		}
		for _, o := range tenantBeside(ns, i) {
			b.SetExtra(resources.Reduce(o))
		}
	}
	for i, name := range [...]string{"ingress-nginx", "prometheus"} {
		t := template(s.Namespace(i+1).Name, name, "controller")
		t.Labels["app.kubernetes.io/component"] = "controller"
		for k := range 3 {
			b.SetPod(cluster.PodOf(controlled(s.Namespace(i+1).Name, fmt.Sprintf("%s-%d", name, k), "StatefulSet", name, &t)))
		}
	}
	for _, o := range clusterBeside() {
		b.SetExtra(resources.Reduce(o))
	}
}

func tenantBeside(ns string, i int) []any {
	class := "nginx"
	prefix := networkingv1.PathTypePrefix
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Name: "http"}}}
	out := []any{
		&networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web", Annotations: map[string]string{"cert-manager.io/cluster-issuer": "letsencrypt"}},
			Spec: networkingv1.IngressSpec{
				IngressClassName: &class, TLS: []networkingv1.IngressTLS{{Hosts: []string{"example.com"}, SecretName: "tls"}},
				Rules: []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: backend}},
				}}}},
			},
		},
		&monitoringv1.ServiceMonitor{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "all"},
			Spec: monitoringv1.ServiceMonitorSpec{
				Selector: metav1.LabelSelector{MatchLabels: map[string]string{"monitored": "yes"}}, Endpoints: []monitoringv1.Endpoint{{Port: "metrics"}},
			},
		},
	}
	if i%3 == 0 {
		out = append(out, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "reader"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default"}},
		})
	}
	return out
}

func clusterBeside() []any {
	port, tcp := int32(6443), corev1.ProtocolTCP
	out := []any{
		&networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}},
		&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}, {Addresses: []string{"192.0.2.2"}}, {Addresses: []string{"192.0.2.3"}}},
			Ports:      []discoveryv1.EndpointPort{{Port: &port, Protocol: &tcp}},
		},
		&certmanagerv1.ClusterIssuer{
			ObjectMeta: metav1.ObjectMeta{Name: "letsencrypt"},
			Spec: certmanagerv1.IssuerSpec{IssuerConfig: certmanagerv1.IssuerConfig{ACME: &certmanageracmev1.ACMEIssuer{Solvers: []certmanageracmev1.ACMEChallengeSolver{
				{HTTP01: &certmanageracmev1.ACMEChallengeSolverHTTP01{Ingress: &certmanageracmev1.ACMEChallengeSolverHTTP01Ingress{}}},
			}}}},
		},
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "hooks"},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name:         "hook.example.com",
				ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "monitoring", Name: "api"}},
			}},
		},
	}
	for i := range nodesBeside {
		out = append(out, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%04d", i)},
			Spec:       corev1.NodeSpec{PodCIDRs: []string{fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)}},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("198.18.%d.%d", i/250, i%250)}}},
		})
	}
	return out
}
