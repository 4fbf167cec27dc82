package policytest

import (
	"fmt"
	"math/rand/v2"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Scaled describes a large cluster of the given size, shaped as real ones are: kube-system with a resolver and node
// agents, a namespace for ingress and one for monitoring, and tenants whose policies start from a default-deny. The
// same seed gives the same cluster; objects are made on demand, so that only what a test keeps takes memory.
type Scaled struct {
	namespaces, pods, policies int
	seed                       uint64
}

// Scale describes a cluster with about that many namespaces, pods and policies.
func Scale(namespaces, pods, policies int, seed uint64) *Scaled {
	return &Scaled{namespaces: max(namespaces, sharedNamespaces+1), pods: pods, policies: policies, seed: seed}
}

// sharedNamespaces come before the tenants': kube-system, ingress-nginx, monitoring.
const sharedNamespaces = 3

// agentShare is the share of all pods that are node agents, one in so many.
const agentShare = 50

// Namespaces counts the namespaces. The tenants' are those from Tenant(0) on.
func (s *Scaled) Namespaces() int { return s.namespaces }

// Tenants counts the tenants' namespaces.
func (s *Scaled) Tenants() int { return s.namespaces - sharedNamespaces }

// Tenant gives the number of the i-th tenant's namespace.
func (s *Scaled) Tenant(i int) int { return sharedNamespaces + i%s.Tenants() }

// Namespace makes the i-th Namespace object.
func (s *Scaled) Namespace(i int) *corev1.Namespace {
	name := fmt.Sprintf("team-%03d-service-%d", i/5, i%5)
	if i < sharedNamespaces {
		name = [...]string{"kube-system", "ingress-nginx", "monitoring"}[i]
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelMetadataName: name, "team": fmt.Sprintf("team-%03d", i/5),
		"environment":                        [...]string{"production", "staging", "test"}[i%3],
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
}

// components name what a tenant runs; earlier ones are more common.
var components = [...]string{"api", "web", "worker", "db", "cache", "queue", "search", "auth", "billing", "mailer"}

// Templates makes the objects with pod templates of the i-th namespace. Each runs the replicas that it asks for, a
// DaemonSet those that Pods makes.
func (s *Scaled) Templates(i int) []metav1.Object {
	if i == 0 {
		return []metav1.Object{deployment("kube-system", "coredns", 10, resolverTemplate())}
	}
	rng := rand.New(rand.NewPCG(s.seed, uint64(i)))
	ns := s.Namespace(i).Name
	var out []metav1.Object
	for left, k := s.podsOf(i), 0; left > 0; k++ {
		component := components[k%len(components)]
		name := component
		if k >= len(components) {
			name = fmt.Sprintf("%s-%d", component, k/len(components))
		}
		replicas := int32(min(1+rng.IntN(14), left))
		left -= int(replicas)
		t := template(ns, name, component)
		if component == "db" || component == "queue" {
			out = append(out, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
				Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Template: t}})
			continue
		}
		out = append(out, deployment(ns, name, replicas, t))
	}
	return out
}

// podsOf shares the pods out, some namespaces being several times larger than others.
func (s *Scaled) podsOf(i int) int {
	mean := (s.pods - s.pods/agentShare) / s.namespaces
	return mean/2 + (i*7919)%max(mean, 1)
}

func deployment(namespace, name string, replicas int32, t corev1.PodTemplateSpec) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Template: t}}
}

func resolverTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns"}},
		Spec: corev1.PodSpec{DNSPolicy: corev1.DNSDefault, Containers: []corev1.Container{{Name: "coredns", Ports: []corev1.ContainerPort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: 53}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, ContainerPort: 53},
			{Name: "metrics", Protocol: corev1.ProtocolTCP, ContainerPort: 9153},
		}}}},
	}
}

func template(namespace, name, component string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
			"app": name, "tier": component, "app.kubernetes.io/name": name, "app.kubernetes.io/instance": namespace,
			"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/version": "1.4.2",
		}},
		Spec: corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, Containers: []corev1.Container{{Name: name, Image: "example.com/" + name + ":1", Env: []corev1.EnvVar{{Name: "API_URL", Value: "http://api"}}, Ports: []corev1.ContainerPort{
			{Name: "http", Protocol: corev1.ProtocolTCP, ContainerPort: 8080}, {Name: "metrics", Protocol: corev1.ProtocolTCP, ContainerPort: 9090},
		}}}},
	}
}

// Pods makes the pods of the i-th namespace, with the labels and owners that controllers give them.
func (s *Scaled) Pods(i int) []*corev1.Pod {
	var out []*corev1.Pod
	for _, obj := range s.Templates(i) {
		switch o := obj.(type) {
		case *appsv1.Deployment:
			hash := fmt.Sprintf("%x", 0x5d8f6c00+i)
			for k := range int(*o.Spec.Replicas) {
				p := controlled(o.Namespace, fmt.Sprintf("%s-%s-%05x", o.Name, hash, k*7919), "ReplicaSet", o.Name+"-"+hash, &o.Spec.Template)
				p.Labels["pod-template-hash"] = hash
				out = append(out, p)
			}
		case *appsv1.StatefulSet:
			out = append(out, statefulPods(o, int(*o.Spec.Replicas))...)
		}
	}
	if i == 0 {
		out = append(out, s.agents()...)
	}
	for k, p := range out {
		p.Status.PodIP = fmt.Sprintf("10.%d.%d.%d", i/250, i%250, k%250)
		p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
	}
	return out
}

func controlled(namespace, name, kind, controller string, t *corev1.PodTemplateSpec) *corev1.Pod {
	yes := true
	p := &corev1.Pod{ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: *t.Spec.DeepCopy(), Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	p.Namespace, p.Name = namespace, name
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: controller, Controller: &yes}}
	return p
}

func statefulPods(o *appsv1.StatefulSet, replicas int) []*corev1.Pod {
	var out []*corev1.Pod
	for k := range replicas {
		p := controlled(o.Namespace, fmt.Sprintf("%s-%d", o.Name, k), "StatefulSet", o.Name, &o.Spec.Template)
		p.Labels["statefulset.kubernetes.io/pod-name"] = p.Name
		p.Labels["apps.kubernetes.io/pod-index"] = fmt.Sprint(k)
		p.Labels["controller-revision-hash"] = o.Name + "-7c9d"
		out = append(out, p)
	}
	return out
}

// agents makes the pods of the DaemonSets, which use their node's network.
func (s *Scaled) agents() []*corev1.Pod {
	names := [...]string{"kube-proxy", "cni"}
	var out []*corev1.Pod
	for k := range s.pods / agentShare {
		name := names[k%len(names)]
		t := template("kube-system", name, name)
		t.Spec.HostNetwork = true
		p := controlled("kube-system", fmt.Sprintf("%s-%05x", name, k), "DaemonSet", name, &t)
		p.Labels["controller-revision-hash"], p.Labels["pod-template-generation"] = "6f5b", "3"
		out = append(out, p)
	}
	return out
}

// ManyWorkloads makes n pods of one namespace that all have other labels.
func ManyWorkloads(namespace string, n int) []*corev1.Pod {
	var out []*corev1.Pod
	for k := range n {
		name := fmt.Sprintf("%s-%d", components[k%len(components)], k)
		t := template(namespace, name, components[k%len(components)])
		p := controlled(namespace, name+"-5d8f-abcde", "ReplicaSet", name+"-5d8f", &t)
		p.Labels["pod-template-hash"] = "5d8f"
		out = append(out, p)
	}
	return out
}

// LargeStatefulSet makes the n pods of the StatefulSet db.
func LargeStatefulSet(namespace string, n int) []*corev1.Pod {
	return statefulPods(&appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "db"},
		Spec:       appsv1.StatefulSetSpec{Template: template(namespace, "db", "db")},
	}, n)
}

// Services makes the Services of the i-th namespace: the resolver's.
func (s *Scaled) Services(i int) []*corev1.Service {
	if i != 0 {
		return nil
	}
	labels := map[string]string{"k8s-app": "kube-dns"}
	return []*corev1.Service{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", Labels: labels},
		Spec: corev1.ServiceSpec{Selector: labels, ClusterIPs: []string{"10.96.0.10"}, Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromString("dns")},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromString("dns-tcp")},
		}},
	}}
}

// Policies makes the policies of the i-th namespace; the system's own has none.
func (s *Scaled) Policies(i int) []*networkingv1.NetworkPolicy {
	if i == 0 {
		return nil
	}
	var out []*networkingv1.NetworkPolicy
	for k := range (s.policies + s.namespaces - 1) / s.namespaces {
		out = append(out, s.policy(s.Namespace(i).Name, k))
	}
	return out
}

// Fill puts all of the cluster into b.
func (s *Scaled) Fill(b *cluster.Builder) error {
	for i := range s.namespaces {
		b.SetNamespace(s.Namespace(i))
		for _, obj := range s.Templates(i) {
			if t, ok := cluster.TemplateOf(obj); ok {
				b.SetTemplate(t)
			}
		}
		for _, p := range s.Pods(i) {
			b.SetPod(cluster.PodOf(p))
		}
		for _, x := range s.Services(i) {
			b.SetService(cluster.ServiceOf(x))
		}
		for _, np := range s.Policies(i) {
			p, err := netpol.Compile(np)
			if err != nil {
				return err
			}
			b.SetPolicy(p)
		}
	}
	return nil
}
