package resources

import (
	"net/netip"
	"strings"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Reduce keeps of an object of one of the Kinds what a snapshot needs; nil for an object of another kind, and for one that
// tells no guardrail anything.
func Reduce(obj any) *cluster.Extra {
	switch o := obj.(type) {
	case *networkingv1.Ingress:
		return in(cluster.Ingresses, o, ingress(o), o.Namespace)
	case *networkingv1.IngressClass:
		return in(cluster.IngressClasses, o, ingressClass(o), cluster.Everywhere)
	case *gatewayv1.HTTPRoute:
		route := httpRoute(o)
		return in(cluster.HTTPRoutes, o, route, namespacesOf(route.Backends)...)
	case *gatewayv1.Gateway:
		return in(cluster.Gateways, o, gateway(o), o.Namespace)
	case *gatewayv1.GatewayClass:
		return in(cluster.GatewayClasses, o, &cluster.GatewayClass{Name: o.Name, Controller: string(o.Spec.ControllerName)}, cluster.Everywhere)
	case *monitoringv1.ServiceMonitor:
		return serviceMonitor(o)
	case *monitoringv1.PodMonitor:
		return podMonitor(o)
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return validating(o)
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return mutating(o)
	case *apiregistrationv1.APIService:
		return apiService(o)
	case *certmanagerv1.Issuer:
		return in(cluster.Issuers, o, issuer("Issuer", o), o.Namespace)
	case *certmanagerv1.ClusterIssuer:
		return in(cluster.ClusterIssuers, o, issuer("ClusterIssuer", o), cluster.Everywhere)
	case *discoveryv1.EndpointSlice:
		return endpointSlice(o)
	case *corev1.Node:
		return in(cluster.Nodes, o, node(o), cluster.Everywhere)
	case *networkingv1.ServiceCIDR:
		return in(cluster.ServiceCIDRs, o, &cluster.ServiceCIDR{Name: o.Name, Ranges: prefixes(o.Spec.CIDRs)}, cluster.Everywhere)
	case *rbacv1.RoleBinding:
		return binding(cluster.RoleBindings, "RoleBinding", o, o.RoleRef, o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		return binding(cluster.ClusterRoleBindings, "ClusterRoleBinding", o, o.RoleRef, o.Subjects)
	}
	return nil
}

// in makes an Extra that is looked up by the keys; nil where there are none.
func in(r cluster.Resource, o metav1.Object, value any, keys ...string) *cluster.Extra {
	if len(keys) == 0 {
		return nil
	}
	return &cluster.Extra{Resource: r, Namespace: o.GetNamespace(), Name: o.GetName(), For: keys, Value: value}
}

func namespacesOf(references []cluster.ServicePortReference) []string {
	var out []string
	for _, r := range references {
		out = appendNew(out, r.Namespace)
	}
	return out
}

func appendNew(to []string, s string) []string {
	for _, have := range to {
		if have == s {
			return to
		}
	}
	return append(to, s)
}

func endpointSlice(o *discoveryv1.EndpointSlice) *cluster.Extra {
	service := o.Labels[discoveryv1.LabelServiceName]
	if o.Namespace != metav1.NamespaceDefault || service != apiServerService {
		return nil
	}
	out := &cluster.EndpointSlice{Namespace: o.Namespace, Name: o.Name, Service: service}
	for i := range o.Endpoints {
		for _, text := range o.Endpoints[i].Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				out.Addresses = append(out.Addresses, a)
			}
		}
	}
	for _, p := range o.Ports {
		if p.Port == nil {
			continue
		}
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		out.Ports = append(out.Ports, cluster.EndpointPort{Protocol: protocol, Number: uint16(*p.Port)})
	}
	return in(cluster.EndpointSlices, o, out, cluster.Everywhere)
}

// controlPlaneLabels mark nodes that run the control plane. Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
var controlPlaneLabels = [...]string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}

func node(o *corev1.Node) *cluster.Node {
	out := &cluster.Node{Name: o.Name, PodRanges: prefixes(o.Spec.PodCIDRs), Version: o.Status.NodeInfo.KubeletVersion}
	if len(o.Spec.PodCIDRs) == 0 && o.Spec.PodCIDR != "" {
		out.PodRanges = prefixes([]string{o.Spec.PodCIDR})
	}
	for _, address := range o.Status.Addresses {
		if a, err := netip.ParseAddr(address.Address); err == nil && address.Type == corev1.NodeInternalIP {
			out.Addresses = append(out.Addresses, a)
		}
	}
	for _, key := range controlPlaneLabels {
		if _, ok := o.Labels[key]; ok {
			out.ControlPlane = true
		}
	}
	return out
}

func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// accountGroup begins the name of the group of all service accounts of a namespace.
// Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
const accountGroup = "system:serviceaccounts:"

// binding looks a role binding up by the service accounts that it names, and by the namespaces all of whose accounts it
// names. What every account may do by default is bound to wider groups and tells of none.
func binding(r cluster.Resource, kind string, o metav1.Object, role rbacv1.RoleRef, subjects []rbacv1.Subject) *cluster.Extra {
	var keys []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			namespace := s.Namespace
			if namespace == "" {
				namespace = o.GetNamespace()
			}
			keys = appendNew(keys, namespace+"/"+s.Name)
		case rbacv1.GroupKind:
			if namespace, ok := strings.CutPrefix(s.Name, accountGroup); ok && namespace != "" {
				keys = appendNew(keys, namespace+"/"+cluster.Everywhere)
			}
		}
	}
	return in(r, o, &cluster.Binding{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Role: role.Name}, keys...)
}
