package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// model is the plain truth that a Builder is compared with: the objects that exist.
type model struct {
	rng        *rand.Rand
	options    Options
	namespaces map[string]*corev1.Namespace
	pods       map[string]*Pod
	templates  map[string]*Template
	services   map[string]*Service
	policies   map[string]*netpol.Policy
}

func newModel(rng *rand.Rand) *model {
	return &model{
		rng: rng, namespaces: map[string]*corev1.Namespace{}, pods: map[string]*Pod{}, templates: map[string]*Template{},
		services: map[string]*Service{}, policies: map[string]*netpol.Policy{},
	}
}

// build makes the snapshot of the objects from nothing, in an order of its own.
func (m *model) build(rng *rand.Rand) *Snapshot {
	b := NewBuilder(m.options)
	var steps []func()
	steps = addSteps(steps, m.namespaces, b.SetNamespace)
	steps = addSteps(steps, m.pods, b.SetPod)
	steps = addSteps(steps, m.templates, b.SetTemplate)
	steps = addSteps(steps, m.services, b.SetService)
	steps = addSteps(steps, m.policies, b.SetPolicy)
	rng.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step()
	}
	return b.Snapshot()
}

// addSteps adds in a fixed order, so that a seed repeats the shuffled one.
func addSteps[T any](steps []func(), objects map[string]T, set func(T)) []func() {
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		steps = append(steps, func() { set(objects[key]) })
	}
	return steps
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func (m *model) namespace() string {
	return pick(m.rng, "shop", "web", systemNamespace, openshiftDNS, "own-dns")
}

// event changes the model and the Builder alike. Deletions hit what exists and what does not.
func (m *model) event(b *Builder) {
	rng := m.rng
	switch rng.IntN(20) {
	case 0, 1:
		ns := m.randomNamespace()
		m.namespaces[ns.Name] = ns
		b.SetNamespace(ns)
	case 2:
		name := m.namespace()
		delete(m.namespaces, name)
		b.DeleteNamespace(name)
	case 3, 4, 5, 6, 7, 8:
		p := m.randomPod()
		m.pods[p.Namespace+"/"+p.Name] = p
		b.SetPod(p)
	case 9, 10, 11:
		namespace, name := m.namespace(), podName(rng)
		delete(m.pods, namespace+"/"+name)
		b.DeletePod(namespace, name)
	case 12:
		t := m.randomTemplate()
		m.templates[t.Workload.Namespace+"/"+t.Workload.Kind+"/"+t.Workload.Name] = t
		b.SetTemplate(t)
	case 13:
		namespace, kind, name := m.namespace(), pick(rng, TemplateKinds[:]...), pick(rng, "api", "node-local-dns")
		delete(m.templates, namespace+"/"+kind+"/"+name)
		b.DeleteTemplate(namespace, kind, name)
	case 14:
		s := m.randomService()
		m.services[s.Namespace+"/"+s.Name] = s
		b.SetService(s)
	case 15:
		namespace, name := m.namespace(), serviceName(rng)
		delete(m.services, namespace+"/"+name)
		b.DeleteService(namespace, name)
	case 16, 17:
		p := m.randomPolicy()
		m.policies[p.Namespace+"/"+p.Name] = p
		b.SetPolicy(p)
	case 18:
		namespace, name := m.namespace(), policyName(rng)
		delete(m.policies, namespace+"/"+name)
		b.DeletePolicy(namespace, name)
	case 19:
		m.options = randomOptions(rng)
		b.SetOptions(m.options)
	}
}

func randomOptions(rng *rand.Rand) Options {
	o := Options{}
	if rng.IntN(3) == 0 {
		o.Resolver.Namespace, o.Resolver.Service = "own-dns", "resolver"
	}
	if rng.IntN(3) == 0 {
		o.Resolver.Addresses = []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("1.1.1.1")}
	}
	if rng.IntN(5) == 0 {
		o.Network = NetworkOverride{Plugin: pick(rng, Plugins()...), PodRanges: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}
	}
	return o
}

func (m *model) randomNamespace() *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: m.namespace(), Labels: map[string]string{}}}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
	if m.rng.IntN(2) == 0 {
		ns.Labels["team"] = pick(m.rng, "red", "blue")
	}
	if m.rng.IntN(2) == 0 {
		ns.Labels["env"] = pick(m.rng, "prod", "test")
	}
	if m.rng.IntN(8) == 0 {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
	return ns
}

func podName(rng *rand.Rand) string    { return fmt.Sprintf("pod-%d", rng.IntN(8)) }
func policyName(rng *rand.Rand) string { return fmt.Sprintf("policy-%d", rng.IntN(3)) }
func serviceName(rng *rand.Rand) string {
	return pick(rng, "kube-dns", "dns-default", "resolver", "rke2-dns")
}

func (m *model) randomPod() *Pod {
	rng := m.rng
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace(), Name: podName(rng), Labels: map[string]string{}}}
	p.Labels["app"] = pick(rng, "api", "db")
	if rng.IntN(3) == 0 {
		p.Labels["k8s-app"] = "kube-dns"
	}
	own := func(kind, name string) {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, Controller: &yes}}
	}
	switch rng.IntN(5) {
	case 0:
		hash := pick(rng, "aaa", "bbb")
		p.Labels["pod-template-hash"] = hash
		own("ReplicaSet", pick(rng, "api", "other")+"-"+hash)
	case 1:
		p.Labels["statefulset.kubernetes.io/pod-name"] = p.Name
		own("StatefulSet", pick(rng, "db", "cache"))
	case 2:
		p.Labels["batch.kubernetes.io/job-name"] = pick(rng, "job-1", "job-2")
		own("Job", p.Labels["batch.kubernetes.io/job-name"])
	case 3:
		p.Labels["controller-revision-hash"] = pick(rng, "r1", "r2")
		own("DaemonSet", "agent")
	}
	p.Spec.HostNetwork = rng.IntN(8) == 0
	p.Spec.DNSPolicy = pick(rng, corev1.DNSClusterFirst, corev1.DNSClusterFirst, corev1.DNSDefault)
	if rng.IntN(2) == 0 {
		p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: pick(rng, int32(53), 5353)}}}}
	}
	p.Status.Phase = pick(rng, corev1.PodRunning, corev1.PodRunning, corev1.PodRunning, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed)
	if rng.IntN(8) == 0 {
		now := metav1.Unix(0, 0)
		p.DeletionTimestamp = &now
	}
	if rng.IntN(4) > 0 {
		p.Status.PodIP = fmt.Sprintf("10.0.0.%d", rng.IntN(200))
		p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}, {IP: fmt.Sprintf("fd00::%d", rng.IntN(200))}}
	}
	return PodOf(p)
}

func (m *model) randomTemplate() *Template {
	rng := m.rng
	meta := metav1.ObjectMeta{Namespace: m.namespace(), Name: pick(rng, "api", "node-local-dns")}
	if rng.IntN(3) == 0 {
		yes := true
		meta.OwnerReferences = []metav1.OwnerReference{{Kind: pick(rng, "Deployment", "Rollout"), Name: "x", Controller: &yes}}
	}
	spec := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": pick(rng, "api", "db")}},
		Spec: corev1.PodSpec{HostNetwork: rng.IntN(2) == 0, Containers: []corev1.Container{{
			Name: pick(rng, "calico-node", "kube-flannel", "main"), Image: pick(rng, "calico/node:v3.28.0", "calico/node:v3.1.0", "x"),
			Args: pick(rng, []string{"-localip", "169.254.20.10,10.96.0.10"}, []string{"-localip=169.254.1.1"}, nil),
		}}},
	}
	var obj any
	switch pick(rng, TemplateKinds[:]...) {
	case "Deployment":
		obj = &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: spec}}
	case "StatefulSet":
		obj = &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: spec}}
	case "DaemonSet":
		obj = &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: spec}}
	case "ReplicaSet":
		obj = &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Template: spec}}
	case "Job":
		obj = &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: spec}}
	case "CronJob":
		obj = &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: spec}}}}
	}
	t, _ := TemplateOf(obj)
	return t
}

func (m *model) randomService() *Service {
	rng := m.rng
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace(), Name: serviceName(rng)}}
	if rng.IntN(2) == 0 {
		s.Labels = map[string]string{"k8s-app": "kube-dns"}
	}
	s.Spec.Selector = pick(rng, map[string]string{"k8s-app": "kube-dns"}, map[string]string{"app": "db"}, nil)
	s.Spec.ClusterIPs = []string{"10.96.0.10"}
	s.Spec.Ports = []corev1.ServicePort{
		{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: pick(rng, intstr.FromInt32(53), intstr.FromString("dns"), intstr.IntOrString{})},
		{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(5353)},
	}
	return ServiceOf(s)
}

func (m *model) randomPolicy() *netpol.Policy {
	rng := m.rng
	selector := func() metav1.LabelSelector {
		return pick(rng,
			metav1.LabelSelector{},
			metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
			metav1.LabelSelector{MatchLabels: map[string]string{"statefulset.kubernetes.io/pod-name": podName(rng)}},
			metav1.LabelSelector{MatchLabels: map[string]string{"batch.kubernetes.io/job-name": "job-1"}},
			metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "pod-template-hash", Operator: metav1.LabelSelectorOpExists}}},
		)
	}
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace(), Name: policyName(rng)}}
	np.Spec.PodSelector = selector()
	peer := networkingv1.NetworkPolicyPeer{}
	pods := selector()
	peer.PodSelector = &pods
	if rng.IntN(2) == 0 {
		peer.NamespaceSelector = &metav1.LabelSelector{}
	}
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}}}
	return mustCompile(np)
}

func mustCompile(np *networkingv1.NetworkPolicy) *netpol.Policy {
	p, err := netpol.Compile(np)
	if err != nil {
		panic(err)
	}
	return p
}

// contents gives what a live read of one namespace of the model would bring, in no order.
func (m *model) contents(namespace string) NamespaceContents {
	c := NamespaceContents{}
	for _, p := range m.policies {
		if p.Namespace == namespace {
			c.Policies = append(c.Policies, p)
		}
	}
	for _, p := range m.pods {
		if p.Namespace == namespace {
			c.Pods = append(c.Pods, p)
		}
	}
	return c
}
