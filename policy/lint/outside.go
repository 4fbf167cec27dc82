package lint

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

const systemNamespace = "kube-system"

// WithResolver adds to the objects of manifests the DNS resolver that clusters have, where neither they nor the config say where
// pods ask for names; assumed says whether it did. Its Service is kube-system/kube-dns.
func WithResolver(objects []manifest.Object, cfg *config.Config) (all []manifest.Object, assumed bool) {
	if knowsResolver(objects, cfg) {
		return objects, false
	}
	return append(slices.Clip(objects), resolver()...), true
}

// knowsResolver reports whether the objects or the config say where pods ask for names.
func knowsResolver(objects []manifest.Object, cfg *config.Config) bool {
	return cfg.Resolver.Service != nil || len(cfg.Resolver.Addresses) > 0 ||
		manifest.Build(manifest.Running(objects), cluster.Options{}).Resolver().Known()
}

// resolver is the DNS Service with its pods as kubeadm and most vendors install it.
// Source: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/ and kubernetes/cluster/addons/dns.
func resolver() []manifest.Object {
	labels := map[string]string{"k8s-app": "kube-dns"}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "kube-dns", Labels: labels},
		Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
		}},
	}
	pod := placeholder(systemNamespace, "coredns", labels)
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: 53}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, ContainerPort: 53},
	}}}
	return made(service, pod)
}

// placeholder is a pod that runs outside the manifests. It asks no DNS of the cluster, so that nothing is said of its own.
func placeholder(namespace, name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

func made(objects ...metav1.Object) []manifest.Object {
	out := make([]manifest.Object, 0, len(objects))
	for _, obj := range objects {
		o, err := manifest.New(obj)
		if err != nil {
			panic(err) // only policies can be wrong
		}
		out = append(out, o)
	}
	return out
}

// placeholders gives the namespaces that peers ask for by name and the manifests do not hold, with pods such as the peers
// ask for. Nobody can know whether those exist, and what cannot be known is no violation.
func placeholders(objects []manifest.Object) []manifest.Object {
	held := map[string]bool{systemNamespace: true} // which the resolver's policies speak of
	for i := range objects {
		held[objects[i].Namespace] = true
		if objects[i].Kind == "Namespace" {
			held[objects[i].Name] = true
		}
	}
	var out []manifest.Object
	add := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		for i := range peers {
			for _, namespace := range named(peers[i].NamespaceSelector) {
				if !held[namespace] {
					pod := placeholder(namespace, fmt.Sprintf("outside-%d", len(out)), asked(peers[i].PodSelector))
					pod.Spec.Containers = []corev1.Container{{Ports: declared(ports)}}
					out = append(out, made(pod)...)
				}
			}
		}
	}
	for i := range objects {
		if np := objects[i].NetworkPolicy(); np != nil {
			for _, r := range np.Spec.Ingress {
				add(r.From, nil)
			}
			for _, r := range np.Spec.Egress {
				add(r.To, r.Ports)
			}
		}
	}
	return out
}

// named lists the namespaces that the selector asks for by the label that every namespace has; none for a selector that
// asks for anything else.
func named(s *metav1.LabelSelector) []string {
	switch {
	case s == nil:
	case len(s.MatchLabels) == 1 && len(s.MatchExpressions) == 0:
		if name, ok := s.MatchLabels[corev1.LabelMetadataName]; ok {
			return []string{name}
		}
	case len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 1:
		if e := s.MatchExpressions[0]; e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpIn {
			return slices.Clone(e.Values)
		}
	}
	return nil
}

// asked gives labels that the selector matches, as far as it names them.
func asked(s *metav1.LabelSelector) map[string]string {
	out := map[string]string{}
	if s == nil {
		return out
	}
	for k, v := range s.MatchLabels {
		out[k] = v
	}
	for _, e := range s.MatchExpressions {
		switch {
		case e.Operator == metav1.LabelSelectorOpIn && len(e.Values) > 0:
			out[e.Key] = e.Values[0]
		case e.Operator == metav1.LabelSelectorOpExists:
			out[e.Key] = ""
		}
	}
	return out
}

// declared gives the ports that rules ask for by name, which only a container can say.
func declared(ports []networkingv1.NetworkPolicyPort) []corev1.ContainerPort {
	var out []corev1.ContainerPort
	for i, p := range ports {
		if p.Port != nil && p.Port.Type == intstr.String {
			out = append(out, corev1.ContainerPort{Name: p.Port.StrVal, Protocol: *p.Protocol, ContainerPort: int32(i + 1)})
		}
	}
	return out
}
