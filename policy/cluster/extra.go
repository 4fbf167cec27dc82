package cluster

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Resource names a kind of object that only some guardrails read, the way people write it: "ingresses.networking.k8s.io".
// A guardrail lists those that it reads; what no enabled guardrail reads is not watched.
type Resource string

// The resources that guardrails can ask for beside those that every snapshot is made of.
const (
	Ingresses                       Resource = "ingresses.networking.k8s.io"
	IngressClasses                  Resource = "ingressclasses.networking.k8s.io"
	HTTPRoutes                      Resource = "httproutes.gateway.networking.k8s.io"
	Gateways                        Resource = "gateways.gateway.networking.k8s.io"
	GatewayClasses                  Resource = "gatewayclasses.gateway.networking.k8s.io"
	ServiceMonitors                 Resource = "servicemonitors.monitoring.coreos.com"
	PodMonitors                     Resource = "podmonitors.monitoring.coreos.com"
	ValidatingWebhookConfigurations Resource = "validatingwebhookconfigurations.admissionregistration.k8s.io"
	MutatingWebhookConfigurations   Resource = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
	APIServices                     Resource = "apiservices.apiregistration.k8s.io"
	Issuers                         Resource = "issuers.cert-manager.io"
	ClusterIssuers                  Resource = "clusterissuers.cert-manager.io"
	EndpointSlices                  Resource = "endpointslices.discovery.k8s.io"
	Nodes                           Resource = "nodes"
	ServiceCIDRs                    Resource = "servicecidrs.networking.k8s.io"
	RoleBindings                    Resource = "rolebindings.rbac.authorization.k8s.io"
	ClusterRoleBindings             Resource = "clusterrolebindings.rbac.authorization.k8s.io"
)

// Extra is what the snapshot keeps of an object of a Resource. It must not be changed.
type Extra struct {
	Resource Resource
	// Namespace is empty for an object of the whole cluster.
	Namespace, Name string
	// For is what the object is looked up by: the namespaces whose pods it is about, or Everywhere; of role bindings the
	// accounts, as "namespace/name".
	For []string
	// Value is one of the types below: *Ingress for Ingresses and so on.
	Value any
}

// Everywhere is in Extra.For of objects that are about all namespaces.
const Everywhere = "*"

func (x *Extra) key() string { return x.Namespace + "/" + x.Name }

// ServicePortReference names a port of a Service: by number, or by the name of the port.
type ServicePortReference struct {
	Namespace, Service string
	Port               intstr.IntOrString
}

// Ingress is what is kept of an Ingress. Source: networking.k8s.io/v1 Ingress.
type Ingress struct {
	Namespace, Name string
	// Class is spec.ingressClassName, or the annotation that came before it; empty means the default class.
	Class    string
	Backends []ServicePortReference
	// Certificates says which issuer its annotations ask for certificates.
	Certificates CertificateRequest
}

// CertificateRequest is what the annotations of an Ingress or a Gateway ask cert-manager for.
// Source: https://cert-manager.io/docs/usage/ingress/#supported-annotations
type CertificateRequest struct {
	// ClusterIssuer that is asked, empty for none.
	ClusterIssuer string
	// DefaultIssuer says that the issuer is asked that cert-manager itself is configured with.
	DefaultIssuer bool
}

// IngressClass is what is kept of an IngressClass. Source: networking.k8s.io/v1 IngressClass.
type IngressClass struct {
	Name, Controller string
	// Default says that Ingresses without a class are of this one.
	Default bool
}

// HTTPRoute is what is kept of an HTTPRoute: its Gateways, without those that refuse it, and the Services behind it.
// Source: gateway.networking.k8s.io/v1 HTTPRoute.
type HTTPRoute struct {
	Namespace, Name string
	Gateways        []NamespacedName
	Backends        []ServicePortReference
}

// NamespacedName names an object of a namespace.
type NamespacedName struct{ Namespace, Name string }

// Gateway is what is kept of a Gateway. Source: gateway.networking.k8s.io/v1 Gateway.
type Gateway struct {
	Namespace, Name, Class string
	// Certificates says which issuer its annotations ask for certificates.
	Certificates CertificateRequest
}

// GatewayClass is what is kept of a GatewayClass. Source: gateway.networking.k8s.io/v1 GatewayClass.
type GatewayClass struct {
	Name, Controller string
}

// Monitor is what is kept of a ServiceMonitor or PodMonitor: what Prometheus is to scrape.
// Source: monitoring.coreos.com/v1 ServiceMonitor, PodMonitor.
type Monitor struct {
	// Kind is ServiceMonitor or PodMonitor.
	Kind, Namespace, Name string
	// Selector of the Services or pods, in the namespaces for which the Monitor is looked up.
	Selector  labels.Selector
	Endpoints []MonitorEndpoint
}

// MonitorEndpoint is a scraped port: of a ServiceMonitor the Service's port by name, of a PodMonitor the container's by
// name; or, where Port is empty, Target, the pod's port by number or name.
type MonitorEndpoint struct {
	Port   string
	Target intstr.IntOrString
}

// Callback is what the API server calls while it answers requests: the Services behind a webhook configuration or an
// APIService. Source: admissionregistration.k8s.io/v1, apiregistration.k8s.io/v1.
type Callback struct {
	// Kind is ValidatingWebhookConfiguration, MutatingWebhookConfiguration or APIService.
	Kind, Name string
	Services   []CallbackService
}

// CallbackService is one Service that the API server calls.
type CallbackService struct {
	ServicePortReference
	// Webhook is the webhook's name in its configuration; empty for an APIService.
	Webhook string
	// FailClosed says that requests fail where the call does.
	FailClosed bool
}

// Issuer is what is kept of an Issuer or ClusterIssuer: how it solves HTTP-01 challenges.
// Source: cert-manager.io/v1 Issuer, acme.cert-manager.io/v1.
type Issuer struct {
	// Kind is Issuer or ClusterIssuer; Namespace is empty for the latter.
	Kind, Namespace, Name string
	// HTTP01 has the labels that each HTTP-01 solver's template adds to its pods, empty for a solver without; none of it
	// where all solvers are DNS-01, or where the issuer is of another type.
	HTTP01 []labels.Set
}

// EndpointSlice is what is kept of an EndpointSlice: the addresses behind a Service. Only those of the Service
// default/kubernetes, the API server's own, are read. Source: discovery.k8s.io/v1 EndpointSlice.
type EndpointSlice struct {
	Namespace, Name, Service string
	Addresses                []netip.Addr
	Ports                    []EndpointPort
}

// EndpointPort is a port on which a Service's endpoints answer.
type EndpointPort struct {
	Protocol corev1.Protocol
	Number   uint16
}

// Node is what is kept of a Node. Source: core/v1 Node.
type Node struct {
	Name string
	// Addresses are the node's internal ones.
	Addresses []netip.Addr
	// PodRanges are those that the node's pods get their addresses from; a plugin may keep its own elsewhere.
	PodRanges []netip.Prefix
	// ControlPlane says that the node is labelled as one.
	ControlPlane bool
	// Version is that of the node's kubelet, such as "v1.33.1+k3s1".
	Version string
}

// ServiceCIDR is what is kept of a ServiceCIDR: ranges of the Services' cluster IPs.
// Source: networking.k8s.io/v1 ServiceCIDR.
type ServiceCIDR struct {
	Name   string
	Ranges []netip.Prefix
}

// Binding is what is kept of a RoleBinding or ClusterRoleBinding: that it grants a role to service accounts. It is looked
// up by those accounts. Source: rbac.authorization.k8s.io/v1.
type Binding struct {
	// Kind is RoleBinding or ClusterRoleBinding; Namespace is empty for the latter.
	Kind, Namespace, Name string
	// Role is the name of the role that it grants.
	Role string
}
