// Package resources reduces the kinds of objects that only some guardrails read to what a snapshot keeps of them. It holds the
// weight of their types, so that the snapshot itself does not.
package resources

import (
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Kind is one kind of object that only some guardrails read.
type Kind struct {
	Resource             cluster.Resource
	Kind                 string
	GroupVersionResource schema.GroupVersionResource
	// OtherVersions of the group hold the same fields.
	OtherVersions []string
	// ClusterScoped says that its objects are in no namespace.
	ClusterScoped bool
	// Namespace and Labels narrow what is read; empty means all.
	Namespace, Labels string
	// New makes an empty object of the kind's Go type, for decoding.
	New func() metav1.Object
}

// Kinds lists them all. It is a function so that nothing can change the list.
func Kinds() []Kind {
	return []Kind{
		namespaced(cluster.Ingresses, "Ingress", func() metav1.Object { return &networkingv1.Ingress{} }),
		clusterScoped(cluster.IngressClasses, "IngressClass", func() metav1.Object { return &networkingv1.IngressClass{} }),
		beta(namespaced(cluster.HTTPRoutes, "HTTPRoute", func() metav1.Object { return &gatewayv1.HTTPRoute{} })),
		beta(namespaced(cluster.Gateways, "Gateway", func() metav1.Object { return &gatewayv1.Gateway{} })),
		beta(clusterScoped(cluster.GatewayClasses, "GatewayClass", func() metav1.Object { return &gatewayv1.GatewayClass{} })),
		namespaced(cluster.ServiceMonitors, "ServiceMonitor", func() metav1.Object { return &monitoringv1.ServiceMonitor{} }),
		namespaced(cluster.PodMonitors, "PodMonitor", func() metav1.Object { return &monitoringv1.PodMonitor{} }),
		clusterScoped(cluster.ValidatingWebhookConfigurations, "ValidatingWebhookConfiguration",
			func() metav1.Object { return &admissionregistrationv1.ValidatingWebhookConfiguration{} }),
		clusterScoped(cluster.MutatingWebhookConfigurations, "MutatingWebhookConfiguration",
			func() metav1.Object { return &admissionregistrationv1.MutatingWebhookConfiguration{} }),
		clusterScoped(cluster.APIServices, "APIService", func() metav1.Object { return &apiregistrationv1.APIService{} }),
		namespaced(cluster.Issuers, "Issuer", func() metav1.Object { return &certmanagerv1.Issuer{} }),
		clusterScoped(cluster.ClusterIssuers, "ClusterIssuer", func() metav1.Object { return &certmanagerv1.ClusterIssuer{} }),
		apiServerSlices(),
		clusterScoped(cluster.Nodes, "Node", func() metav1.Object { return &corev1.Node{} }),
		clusterScoped(cluster.ServiceCIDRs, "ServiceCIDR", func() metav1.Object { return &networkingv1.ServiceCIDR{} }),
		namespaced(cluster.RoleBindings, "RoleBinding", func() metav1.Object { return &rbacv1.RoleBinding{} }),
		clusterScoped(cluster.ClusterRoleBindings, "ClusterRoleBinding", func() metav1.Object { return &rbacv1.ClusterRoleBinding{} }),
	}
}

// beta marks a kind that is still written as v1beta1, too.
func beta(k Kind) Kind {
	k.OtherVersions = []string{"v1beta1"}
	return k
}

// apiServerSlices narrows EndpointSlices to those of the API server itself: a large cluster's others change all day.
func apiServerSlices() Kind {
	k := namespaced(cluster.EndpointSlices, "EndpointSlice", func() metav1.Object { return &discoveryv1.EndpointSlice{} })
	k.Namespace, k.Labels = metav1.NamespaceDefault, discoveryv1.LabelServiceName+"="+apiServerService
	return k
}

// apiServerService is the Service in front of the API servers, in the namespace default.
const apiServerService = "kubernetes"

func namespaced(r cluster.Resource, kind string, make func() metav1.Object) Kind {
	return Kind{Resource: r, Kind: kind, GroupVersionResource: schema.ParseGroupResource(string(r)).WithVersion("v1"), New: make}
}

func clusterScoped(r cluster.Resource, kind string, make func() metav1.Object) Kind {
	k := namespaced(r, kind, make)
	k.ClusterScoped = true
	return k
}
