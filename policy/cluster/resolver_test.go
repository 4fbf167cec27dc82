package cluster

import (
	"fmt"
	"net/netip"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var dnsLabels = map[string]string{"k8s-app": "kube-dns"}

// dnsService makes a Service for DNS on 53 with that target port.
func dnsService(namespace, name string, labels, selector map[string]string, target intstr.IntOrString) *Service {
	return ServiceOf(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: corev1.ServiceSpec{Selector: selector, ClusterIPs: []string{"10.96.0.10"}, Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: target},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: target},
			{Name: "metrics", Protocol: corev1.ProtocolTCP, Port: 9153},
		}},
	})
}

// dnsPod makes a pod that answers DNS; its port "dns" has that number on both protocols.
func dnsPod(namespace, name string, labels map[string]string, number int32, address string) *Pod {
	p := pod(namespace, name, "DaemonSet", "dns", labels)
	p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: number}, {Name: "dns", Protocol: corev1.ProtocolTCP, ContainerPort: number},
	}}}
	p.Status.PodIP = address
	return PodOf(p)
}

func nodeLocal(args ...string) *Template {
	t, _ := TemplateOf(&appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "node-local-dns"},
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Args: args}}}}},
	})
	return t
}

func TestResolverDiscovery(t *testing.T) {
	number, named := intstr.FromInt32(53), intstr.FromString("dns")
	kubeDNS := dnsService(systemNamespace, "kube-dns", dnsLabels, dnsLabels, number)
	coreDNS := dnsPod(systemNamespace, "coredns-0", dnsLabels, 53, "10.244.0.2")
	openshift := map[string]string{"dns.operator.openshift.io/daemonset-dns": "default"}
	own := Options{Resolver: ResolverOverride{Namespace: "infra", Service: "unbound"}}
	for _, c := range []struct {
		name    string
		options Options
		fill    func(b *Builder)
		want    string // name, then each backend as UDP/TCP[addresses], then the local addresses
	}{
		{"none", Options{}, func(*Builder) {}, "the cluster's resolver [] []"},
		{"kube-system/kube-dns", Options{}, func(b *Builder) {
			b.SetService(kubeDNS)
			b.SetPod(coreDNS)
		}, "kube-system/kube-dns [53/53[10.244.0.2]] []"},
		{"backends come before the Service", Options{}, func(b *Builder) {
			b.SetPod(coreDNS)
			b.Snapshot()
			b.SetService(kubeDNS)
		}, "kube-system/kube-dns [53/53[10.244.0.2]] []"},
		{"several backends of one workload", Options{}, func(b *Builder) {
			b.SetService(kubeDNS)
			b.SetPod(dnsPod(systemNamespace, "coredns-1", dnsLabels, 53, "10.244.0.3"))
			b.SetPod(coreDNS)
		}, "kube-system/kube-dns [53/53[10.244.0.2 10.244.0.3]] []"},
		{"label under another name, as in RKE2", Options{}, func(b *Builder) {
			b.SetService(dnsService(systemNamespace, "rke2-coredns-rke2-coredns", dnsLabels, dnsLabels, named))
			b.SetPod(coreDNS)
		}, "kube-system/rke2-coredns-rke2-coredns [53/53[10.244.0.2]] []"},
		{"the name wins over the label", Options{}, func(b *Builder) {
			b.SetService(dnsService(systemNamespace, "a-copy", dnsLabels, dnsLabels, number))
			b.SetService(kubeDNS)
			b.SetPod(coreDNS)
		}, "kube-system/kube-dns [53/53[10.244.0.2]] []"},
		{"OpenShift listens on 5353 through a named target port", Options{}, func(b *Builder) {
			b.SetService(dnsService(openshiftDNS, "dns-default", nil, openshift, named))
			b.SetPod(dnsPod(openshiftDNS, "dns-default-x", openshift, 5353, "10.128.0.5"))
		}, "openshift-dns/dns-default [5353/5353[10.128.0.5]] []"},
		{"named target port that the pods do not declare: not known", Options{}, func(b *Builder) {
			b.SetService(dnsService(systemNamespace, "kube-dns", dnsLabels, dnsLabels, intstr.FromString("domain")))
			b.SetPod(coreDNS)
		}, "kube-system/kube-dns [] []"},
		{"pods of two shapes keep their own addresses", Options{}, func(b *Builder) {
			b.SetService(dnsService(systemNamespace, "kube-dns", dnsLabels, dnsLabels, named))
			b.SetPod(coreDNS)
			b.SetPod(dnsPod(systemNamespace, "coredns-new", dnsLabels, 1053, "10.244.0.9"))
		}, "kube-system/kube-dns [1053/1053[10.244.0.9] 53/53[10.244.0.2]] []"},
		{"Service without a selector", Options{}, func(b *Builder) {
			b.SetService(dnsService(systemNamespace, "kube-dns", dnsLabels, nil, number))
			b.SetPod(coreDNS)
		}, "kube-system/kube-dns [] []"},
		{"a tenant's Service that wears the label", Options{}, func(b *Builder) {
			b.SetService(dnsService("tenant", "kube-dns", dnsLabels, dnsLabels, number))
			b.SetPod(dnsPod("tenant", "coredns-0", dnsLabels, 53, "10.244.0.2"))
		}, "the cluster's resolver [] []"},
		{"NodeLocal DNSCache beside the Service's own address", Options{}, func(b *Builder) {
			b.SetService(kubeDNS)
			b.SetTemplate(nodeLocal("-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"))
		}, "kube-system/kube-dns [] [169.254.20.10]"},
		{"NodeLocal DNSCache elsewhere", Options{}, func(b *Builder) { b.SetTemplate(nodeLocal("--localip=169.254.25.10")) },
			"169.254.25.10 [] [169.254.25.10]"},
		{"NodeLocal DNSCache by default", Options{}, func(b *Builder) { b.SetTemplate(nodeLocal()) }, "169.254.20.10 [] [169.254.20.10]"},
		{"configured Service", own, func(b *Builder) {
			b.SetService(kubeDNS)
			b.SetPod(coreDNS)
			b.SetService(dnsService("infra", "unbound", nil, map[string]string{"app": "unbound"}, number))
			b.SetPod(dnsPod("infra", "unbound-0", map[string]string{"app": "unbound"}, 53, "10.244.1.1"))
		}, "infra/unbound [53/53[10.244.1.1]] []"},
		{"configured Service that is missing", own, func(b *Builder) { b.SetService(kubeDNS) }, "the cluster's resolver [] []"},
		{"configured addresses alone", Options{Resolver: ResolverOverride{Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}}, func(*Builder) {},
			"9.9.9.9 [] [9.9.9.9]"},
		{"configured addresses in a cluster without system namespace",
			Options{Resolver: ResolverOverride{Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}}},
			func(b *Builder) { b.SetPod(PodOf(pod("shop", "a", "", "", nil))) }, "9.9.9.9 [] [9.9.9.9]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder(c.options)
			c.fill(b)
			same(t, "resolver", c.want, resolverText(b.Snapshot().Resolver()))
			late := NewBuilder(Options{})
			c.fill(late)
			late.Snapshot()
			late.SetOptions(c.options)
			same(t, "resolver with options that come late", c.want, resolverText(late.Snapshot().Resolver()))
		})
	}
}

func resolverText(r *Resolver) string {
	backends := []string{}
	for _, b := range r.Backends {
		backends = append(backends, fmt.Sprintf("%d/%d%v", b.UDP, b.TCP, b.Endpoint.Addresses))
	}
	return fmt.Sprint(r.Name(), " ", backends, " ", r.Local)
}

// TestResolverOfFinerWorkloads: a policy that reaches the resolver by a label of one rollout still reaches it.
func TestResolverOfFinerWorkloads(t *testing.T) {
	b := NewBuilder(Options{})
	b.SetService(dnsService(systemNamespace, "kube-dns", dnsLabels, dnsLabels, intstr.FromInt32(53)))
	b.SetPod(dnsPod(systemNamespace, "a", map[string]string{"k8s-app": "kube-dns", "pod-template-hash": "aaa"}, 53, "10.244.0.2"))
	s := b.Snapshot()
	s = s.WithPolicy(mustCompile(selecting("shop", true, map[string]string{"pod-template-hash": "aaa"})))
	r := s.Resolver()
	if len(r.Backends) != 1 || r.Backends[0].Endpoint.Labels["pod-template-hash"] != "aaa" || len(r.Backends[0].Endpoint.Addresses) != 1 {
		t.Errorf("backends %+v, want one with its pod-template-hash and its address", r.Backends)
	}
}

// TestResolverNamespaceUnseen: where the Namespace object has not come yet, its pods still carry the namespace's name.
func TestResolverNamespaceUnseen(t *testing.T) {
	b := NewBuilder(Options{})
	b.SetService(dnsService(systemNamespace, "kube-dns", dnsLabels, dnsLabels, intstr.FromInt32(53)))
	b.SetPod(dnsPod(systemNamespace, "a", dnsLabels, 53, "10.244.0.2"))
	if got := b.Snapshot().Resolver().Backends[0].Endpoint.NamespaceLabels[corev1.LabelMetadataName]; got != systemNamespace {
		t.Errorf("the backends' namespace is called %q, want %q", got, systemNamespace)
	}
}

func TestServiceFromOutside(t *testing.T) {
	for want, specs := range map[bool][]corev1.ServiceSpec{
		true: {{Type: corev1.ServiceTypeLoadBalancer}, {Type: corev1.ServiceTypeNodePort}, {ExternalIPs: []string{"203.0.113.7"}}},
		false: {{}, {Type: corev1.ServiceTypeClusterIP}, {Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.com"},
			{ClusterIP: corev1.ClusterIPNone}},
	} {
		for i := range specs {
			if got := ServiceOf(&corev1.Service{Spec: specs[i]}).External; got != want {
				t.Errorf("%+v: %v", specs[i], got)
			}
		}
	}
}
