package cluster

import (
	"net/netip"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Service is what the snapshot keeps of a Service. It must not be changed.
type Service struct {
	Namespace, Name string
	// Selector of the Service's pods; empty means that its endpoints are kept by hand.
	Selector labels.Set
	// ClusterIPs of the Service; none for a headless one, and for one that is not stored yet.
	ClusterIPs []netip.Addr
	// Headless says that the Service asks for no cluster IP: its name gives its pods' own addresses.
	Headless bool
	Ports    []ServicePort
	// Type of the Service; empty means ClusterIP.
	Type corev1.ServiceType
	// ExternalLocal says that traffic from outside keeps its source address: externalTrafficPolicy is Local.
	ExternalLocal bool
	// Direct says that its load balancer sends connections to the pods and not to nodes.
	Direct bool
	// Scraped says that the annotation prometheus.io/scrape asks for scrapes, and ScrapePort on which port; 0 is all of them.
	Scraped    bool
	ScrapePort uint16
	// External says that the Service takes connections from outside the cluster: a load balancer, a node port, or
	// addresses of its own outside. Source: core/v1 ServiceSpec.type and externalIPs.
	External bool
	labels   string // see Labels
	// dns marks a Service that labels or name make out as the cluster's resolver; lower is better, 0 is none.
	dns int
}

// ServicePort is one port of a Service. Policies govern the target port, never the Service's own.
type ServicePort struct {
	Name     string
	Protocol corev1.Protocol
	Number   uint16
	Target   intstr.IntOrString
}

// TargetPort resolves p on the pods of w, 0 where w declares no port of the target's name.
// Source: core/v1 ServicePort.targetPort.
func (p ServicePort) TargetPort(w *Workload) uint16 {
	if p.Target.Type == intstr.Int {
		if p.Target.IntVal == 0 {
			return p.Number
		}
		return uint16(p.Target.IntVal)
	}
	for _, c := range w.Ports {
		if c.Name == p.Target.StrVal && c.Protocol == p.Protocol {
			return c.Number
		}
	}
	return 0
}

// Labels gives the labels of the Service itself, which ServiceMonitors select by. They are few that ask, and many that have
// them, so they are kept in one piece.
func (s *Service) Labels() labels.Set {
	out := labels.Set{}
	decodeLabels(s.labels, out)
	return out
}

// ServiceOf keeps of s what the snapshot needs.
func ServiceOf(s *corev1.Service) *Service {
	out := &Service{Namespace: unique.Make(s.Namespace).Value(), Name: s.Name, Selector: packed(s.Spec.Selector), dns: dnsRank(s)}
	out.Type, out.ExternalLocal = s.Spec.Type, s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	out.labels = encodeLabels(s.Labels, func(string) bool { return true })
	out.Direct = direct(s.Annotations)
	out.Headless = s.Spec.ClusterIP == corev1.ClusterIPNone
	out.Scraped, out.ScrapePort = scrapeAnnotations(s.Annotations)
	out.External = s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort || len(s.Spec.ExternalIPs) > 0
	for _, ip := range s.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			out.ClusterIPs = append(out.ClusterIPs, a)
		}
	}
	if len(s.Spec.ClusterIPs) == 0 {
		if a, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil {
			out.ClusterIPs = append(out.ClusterIPs, a)
		}
	}
	for _, p := range s.Spec.Ports {
		protocol := p.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		// The names are few in any cluster, so all Services share them.
		target := p.TargetPort
		target.StrVal = unique.Make(target.StrVal).Value()
		out.Ports = append(out.Ports, ServicePort{
			Name: unique.Make(p.Name).Value(), Protocol: unique.Make(protocol).Value(), Number: uint16(p.Port), Target: target,
		})
	}
	return out
}

// directAnnotations are those, each with its value, by which load balancers are told to send connections to the pods. Sources:
// https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/ (the first two),
// https://github.com/kubernetes/cloud-provider-alibaba-cloud (the third),
// https://www.tencentcloud.com/document/product/457/39142 (the last).
var directAnnotations = [...][2]string{
	{"service.beta.kubernetes.io/aws-load-balancer-nlb-target-type", "ip"},
	{"service.beta.kubernetes.io/aws-load-balancer-type", "nlb-ip"},
	{"service.beta.kubernetes.io/backend-type", "eni"},
	{"service.cloud.tencent.com/direct-access", "true"},
}

func direct(annotations map[string]string) bool {
	return slices.ContainsFunc(directAnnotations[:], func(a [2]string) bool { return annotations[a[0]] == a[1] })
}

// dnsRank tells how surely s is the cluster's resolver: by the name that kubeadm and the hosted clusters give it, by
// OpenShift's, by the label that all of them share. Only system namespaces count, so that a tenant's Service cannot
// pose as the resolver by wearing the label.
func dnsRank(s *corev1.Service) int {
	switch {
	case s.Namespace == systemNamespace && s.Name == "kube-dns":
		return 1
	case s.Namespace == openshiftDNS && s.Name == "dns-default":
		return 2
	case s.Namespace == systemNamespace && s.Labels["k8s-app"] == "kube-dns":
		return 3
	}
	return 0
}
