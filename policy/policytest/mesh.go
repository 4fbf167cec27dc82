package policytest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// meshNamespace is how many workloads one namespace of a mesh has.
const meshNamespace = 10

// Mesh makes a cluster of n Deployments, ten in each namespace, and as many policies: for measuring who can reach whom.
// One namespace in five has no policies and is open; the others start from a default-deny and let in and out by label,
// by namespace, by named port and by address range, each workload by a policy of its own.
func Mesh(n int) (*cluster.Snapshot, error) {
	b := cluster.NewBuilder(cluster.Options{})
	for i := range n {
		namespace, name := fmt.Sprintf("team-%04d", i/meshNamespace), fmt.Sprintf("app-%d", i%meshNamespace)
		if i%meshNamespace == 0 {
			b.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{
				corev1.LabelMetadataName: namespace, "stage": fmt.Sprint(i / meshNamespace % 3),
			}}})
		}
		t := template(namespace, name, name)
		t.Spec.Containers = []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: int32(8000 + i%3), Protocol: corev1.ProtocolTCP},
		}}}
		p := controlled(namespace, name+"-5d8f-abcde", "ReplicaSet", name+"-5d8f", &t)
		p.Labels["pod-template-hash"] = "5d8f"
		b.SetPod(cluster.PodOf(p))
		if open := i/meshNamespace%5 == 0; open {
			continue
		}
		policies := []*networkingv1.NetworkPolicy{meshPolicy(namespace, name, i)}
		if i%meshNamespace == 0 {
			policies = append(policies, networkPolicy(namespace, "default-deny", nil, ingressType, egressType))
		}
		if i%meshNamespace < 2 { // as many policies as workloads, the open namespaces' made up for
			policies = append(policies, meshEgress(namespace, name))
		}
		for _, np := range policies {
			compiled, err := netpol.Compile(np)
			if err != nil {
				return nil, err
			}
			b.SetPolicy(compiled)
		}
	}
	return b.Snapshot(), nil
}

// meshPolicy lets some into a workload, and lets it out to some.
func meshPolicy(namespace, name string, i int) *networkingv1.NetworkPolicy {
	np := networkPolicy(namespace, "allow-"+name, nil, ingressType, egressType)
	np.Spec.PodSelector.MatchLabels = map[string]string{"app": name}
	http := intstr.FromString("http")
	tcp := corev1.ProtocolTCP
	neighbour := metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app-%d", (i+1)%meshNamespace)}}
	stage := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"stage": fmt.Sprint(i % 3)}}, PodSelector: &neighbour}
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{
		{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &neighbour}}, Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &http}}},
		{From: []networkingv1.NetworkPolicyPeer{stage}, Ports: []networkingv1.NetworkPolicyPort{port(tcp, 9090)}},
	}
	np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{
		{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}, stage}},
		{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.%d.0.0/16", i%200), Except: []string{fmt.Sprintf("10.%d.7.0/24", i%200)}}}},
			Ports: []networkingv1.NetworkPolicyPort{port(tcp, 5432)}},
	}
	return np
}

// meshEgress lets a workload out to an open namespace and the internet.
func meshEgress(namespace, name string) *networkingv1.NetworkPolicy {
	np := networkPolicy(namespace, "internet-"+name, nil, egressType)
	np.Spec.PodSelector.MatchLabels = map[string]string{"app": name}
	np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{
		{To: []networkingv1.NetworkPolicyPeer{peer("team-0000", nil)}},
		{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}}}}, Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, 443)}},
	}
	return np
}
