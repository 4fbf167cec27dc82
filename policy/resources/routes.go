package resources

import (
	"github.com/cert-manager/cert-manager/pkg/apis/certmanager"
	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// ingressClassAnnotation is how Ingresses named their class before spec.ingressClassName; controllers still read it.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

func ingress(o *networkingv1.Ingress) *cluster.Ingress {
	out := &cluster.Ingress{Namespace: o.Namespace, Name: o.Name, Class: o.Annotations[ingressClassAnnotation]}
	if o.Spec.IngressClassName != nil {
		out.Class = *o.Spec.IngressClassName
	}
	if len(o.Spec.TLS) > 0 { // without it the annotations have no effect
		out.Certificates = certificates(o.Annotations)
	}
	add := func(b *networkingv1.IngressBackend) {
		if b == nil || b.Service == nil {
			return
		}
		port := intstr.FromInt32(b.Service.Port.Number)
		if b.Service.Port.Name != "" {
			port = intstr.FromString(b.Service.Port.Name)
		}
		out.Backends = append(out.Backends, cluster.ServicePortReference{Namespace: o.Namespace, Service: b.Service.Name, Port: port})
	}
	add(o.Spec.DefaultBackend)
	for i := range o.Spec.Rules {
		if http := o.Spec.Rules[i].HTTP; http != nil {
			for j := range http.Paths {
				add(&http.Paths[j].Backend)
			}
		}
	}
	return out
}

func ingressClass(o *networkingv1.IngressClass) *cluster.IngressClass {
	return &cluster.IngressClass{
		Name: o.Name, Controller: o.Spec.Controller, Default: o.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true",
	}
}

func gateway(o *gatewayv1.Gateway) *cluster.Gateway {
	return &cluster.Gateway{
		Namespace: o.Namespace, Name: o.Name, Class: string(o.Spec.GatewayClassName), Certificates: certificates(o.Annotations),
	}
}

// tlsACMEAnnotation asks for a certificate of the issuer that cert-manager is configured with.
// Source: https://cert-manager.io/docs/usage/ingress/#optional-configuration
const tlsACMEAnnotation = "kubernetes.io/tls-acme"

// certificates reads the annotations that ask cert-manager for certificates. Those that ask an Issuer say nothing: it is of
// the same namespace, and known there.
func certificates(annotations map[string]string) cluster.CertificateRequest {
	if group := annotations[certmanagerv1.IssuerGroupAnnotationKey]; group != "" && group != certmanager.GroupName {
		return cluster.CertificateRequest{}
	}
	if name := annotations[certmanagerv1.IngressClusterIssuerNameAnnotationKey]; name != "" {
		return cluster.CertificateRequest{ClusterIssuer: name}
	}
	if name := annotations[certmanagerv1.IngressIssuerNameAnnotationKey]; name != "" {
		if annotations[certmanagerv1.IssuerKindAnnotationKey] == certmanagerv1.ClusterIssuerKind {
			return cluster.CertificateRequest{ClusterIssuer: name}
		}
		return cluster.CertificateRequest{}
	}
	return cluster.CertificateRequest{DefaultIssuer: annotations[tlsACMEAnnotation] == "true"}
}

func httpRoute(o *gatewayv1.HTTPRoute) *cluster.HTTPRoute {
	out := &cluster.HTTPRoute{Namespace: o.Namespace, Name: o.Name}
	for _, parent := range o.Spec.ParentRefs {
		if parent.Kind != nil && *parent.Kind != "Gateway" || parent.Group != nil && *parent.Group != gatewayv1.GroupName {
			continue // a Service, for a mesh
		}
		name := cluster.NamespacedName{Namespace: o.Namespace, Name: string(parent.Name)}
		if parent.Namespace != nil {
			name.Namespace = string(*parent.Namespace)
		}
		if refused(o, name) {
			continue
		}
		out.Gateways = append(out.Gateways, name)
	}
	for i := range o.Spec.Rules {
		for j := range o.Spec.Rules[i].BackendRefs {
			ref := o.Spec.Rules[i].BackendRefs[j].BackendObjectReference
			if ref.Kind != nil && *ref.Kind != "Service" || ref.Group != nil && *ref.Group != "" || ref.Port == nil {
				continue
			}
			backend := cluster.ServicePortReference{Namespace: o.Namespace, Service: string(ref.Name), Port: intstr.FromInt32(*ref.Port)}
			if ref.Namespace != nil {
				backend.Namespace = string(*ref.Namespace)
			}
			out.Backends = append(out.Backends, backend)
		}
	}
	return out
}

// refused reports whether the Gateway's controller says that the Gateway does not take the route.
// Source: gateway.networking.k8s.io/v1 RouteParentStatus.
func refused(o *gatewayv1.HTTPRoute, gateway cluster.NamespacedName) bool {
	said, accepted := false, false
	for i := range o.Status.Parents {
		parent := &o.Status.Parents[i]
		namespace := o.Namespace
		if parent.ParentRef.Namespace != nil {
			namespace = string(*parent.ParentRef.Namespace)
		}
		if string(parent.ParentRef.Name) != gateway.Name || namespace != gateway.Namespace {
			continue
		}
		for _, c := range parent.Conditions {
			if c.Type == string(gatewayv1.RouteConditionAccepted) {
				said, accepted = true, accepted || c.Status != metav1.ConditionFalse
			}
		}
	}
	return said && !accepted
}
