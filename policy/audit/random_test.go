package audit_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// random gives numbers whose seed a failure names; BULKHEAD_SEED repeats it.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if env := os.Getenv("BULKHEAD_SEED"); env != "" {
		var err error
		if seed, err = strconv.ParseUint(env, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("BULKHEAD_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// judgedFully makes every guardrail that asks for parameters judge something in the random clusters.
const judgedFully = `
exempt: {namespaces: [exempt]}
guardrails:
  tenant-crossing: {parameters: {tenantLabel: tenant}}
  baseline-nullified: {parameters: {protected: ["p0"]}}
  label-gains-access: {parameters: {labels: ["role"]}}
  forbidden-cidr: {parameters: {ranges: [{cidr: 169.254.0.0/16, reason: metadata}]}}
  policy-metadata: {parameters: {required: [owner]}}
`

// world makes random clusters: few names, so that much refers to each other.
type world struct {
	*rand.Rand
	objects  []metav1.Object
	pods     []*corev1.Pod
	policies []*networkingv1.NetworkPolicy
}

var namespaces = []string{"shop", "web", "exempt", "kube-system"}

func newWorld(rng *rand.Rand) *world {
	w := &world{Rand: rng}
	for _, name := range namespaces {
		labels := map[string]string{corev1.LabelMetadataName: name}
		if w.IntN(2) == 0 {
			labels["tenant"] = pick(w, "a", "b")
		}
		if w.IntN(3) == 0 {
			labels["bulkhead.dev/default-deny"] = pick(w, "required", "egress")
		}
		w.objects = append(w.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	if w.IntN(6) > 0 {
		w.dns()
	}
	w.objects = append(w.objects, &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"},
	})
	if w.IntN(3) == 0 {
		w.objects = append(w.objects, w.tier())
	}
	for i := range 2 + w.IntN(5) {
		w.workload(i)
	}
	for i := range 1 + w.IntN(6) {
		w.policy(pick(w, "shop", "shop", "shop", "web", "exempt", "kube-system"), fmt.Sprintf("p%d", i))
	}
	return w
}

func pick[T any](w *world, of ...T) T { return of[w.IntN(len(of))] }

func (w *world) dns() {
	labels := map[string]string{"k8s-app": "kube-dns"}
	w.objects = append(w.objects, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", Labels: labels},
		Spec: corev1.ServiceSpec{Selector: labels, ClusterIPs: []string{"10.96.0.10"}, Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
		}},
	})
	w.pod("kube-system", "Deployment", "coredns", 0, labels, corev1.PodSpec{DNSPolicy: corev1.DNSDefault})
}

// workload makes something with pods, a template or both, and a Service for it.
func (w *world) workload(i int) {
	namespace, name := pick(w, "shop", "shop", "web", "web", "web", "exempt", "kube-system"), fmt.Sprintf("w%d", i)
	labels := map[string]string{"app": pick(w, "api", "db", "web")}
	switch w.IntN(12) {
	case 0:
		labels["app"] = "prometheus"
	case 1:
		labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"] = "ingress-nginx", "controller"
	}
	if w.IntN(4) == 0 {
		labels["role"] = pick(w, "client", "server")
	}
	spec := corev1.PodSpec{HostNetwork: w.IntN(6) == 0, Containers: []corev1.Container{{Name: "c"}}}
	if w.IntN(2) == 0 {
		spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", Protocol: corev1.ProtocolTCP, ContainerPort: 8080}}
	}
	if w.IntN(3) > 0 {
		spec.Containers[0].Env = []corev1.EnvVar{{Name: "UPSTREAM", Value: fmt.Sprintf("http://w%d.%s", w.IntN(4), pick(w, "shop", "web"))}}
	}
	kind := pick(w, "Deployment", "StatefulSet", "Pod")
	if kind != "Pod" && w.IntN(4) > 0 {
		w.template(kind, namespace, name, labels, spec)
	}
	for k := range pick(w, 0, 1, 2, 3) {
		w.pod(namespace, kind, name, k, labels, spec)
		if kind == "Pod" {
			break
		}
	}
	if w.IntN(4) > 0 {
		w.ingress(namespace, name)
		w.objects = append(w.objects, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": labels["app"]}, ClusterIPs: []string{fmt.Sprintf("10.96.1.%d", i)},
				Ports: []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080)}}},
		})
	}
}

// ingress makes an Ingress for the Service, sometimes.
func (w *world) ingress(namespace, service string) {
	if w.IntN(3) > 0 {
		return
	}
	class := "nginx"
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}}
	w.objects = append(w.objects, &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service},
		Spec:       networkingv1.IngressSpec{IngressClassName: &class, DefaultBackend: &backend},
	})
}

func (w *world) template(kind, namespace, name string, labels map[string]string, spec corev1.PodSpec) {
	meta, t := metav1.ObjectMeta{Namespace: namespace, Name: name}, corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
	if kind == "StatefulSet" {
		w.objects = append(w.objects, &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: t}})
		return
	}
	w.objects = append(w.objects, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: t}})
}

func (w *world) pod(namespace, kind, name string, k int, labels map[string]string, spec corev1.PodSpec) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}}, Spec: spec}
	if len(labels)%2 == 0 {
		p.Annotations = map[string]string{"prometheus.io/scrape": "true"}
	}
	for key, v := range labels {
		p.Labels[key] = v
	}
	if kind != "Pod" {
		yes := true
		p.Name = fmt.Sprintf("%s-%d", name, k)
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, Controller: &yes}}
	}
	if kind == "StatefulSet" {
		p.Labels[podName] = p.Name
	}
	p.Status.Phase = pick(w, corev1.PodRunning, corev1.PodRunning, corev1.PodRunning, corev1.PodSucceeded)
	w.objects, w.pods = append(w.objects, p), append(w.pods, p)
}

const podName = "statefulset.kubernetes.io/pod-name"

func (w *world) policy(namespace, name string) {
	np := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
	if w.IntN(2) == 0 {
		np.Annotations = map[string]string{"owner": "somebody"}
	}
	np.Spec.PodSelector = w.selector(3)
	np.Spec.PolicyTypes = pick(w, []networkingv1.PolicyType{"Ingress"}, []networkingv1.PolicyType{"Egress"}, []networkingv1.PolicyType{"Ingress", "Egress"})
	for range w.IntN(3) {
		np.Spec.Ingress = append(np.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: w.peers(), Ports: w.ports()})
	}
	for range w.IntN(3) {
		np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: w.peers(), Ports: w.ports()})
	}
	w.objects, w.policies = append(w.objects, np), append(w.policies, np)
}

// tier makes a cluster-wide policy above or below all others.
func (w *world) tier() *v1alpha2.ClusterNetworkPolicy {
	out := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: pick(w, "t0", "t1")}}
	out.Spec.Tier, out.Spec.Priority = pick(w, v1alpha2.AdminTier, v1alpha2.BaselineTier), int32(w.IntN(3))
	out.Spec.Subject.Namespaces = pick(w, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"tenant": "a"}})
	action := pick(w, v1alpha2.ClusterNetworkPolicyRuleActionAccept, v1alpha2.ClusterNetworkPolicyRuleActionDeny)
	peers := pick(w, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick(w, "kube-system", "web")}})
	out.Spec.Ingress = []v1alpha2.ClusterNetworkPolicyIngressRule{{Action: action, From: []v1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: peers}}}}
	out.Spec.Egress = []v1alpha2.ClusterNetworkPolicyEgressRule{{Action: action, To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{Namespaces: peers}}}}
	return out
}

// selector selects everything once in so many times.
func (w *world) selector(everything int) metav1.LabelSelector {
	if w.IntN(everything) == 0 {
		return metav1.LabelSelector{}
	}
	key, value := "app", pick(w, "api", "db", "web", "none")
	switch w.IntN(8) {
	case 0:
		key, value = "role", pick(w, "client", "server")
	case 1:
		key, value = podName, fmt.Sprintf("w%d-%d", w.IntN(5), w.IntN(2))
	}
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func (w *world) peers() []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	for range w.IntN(3) {
		var p networkingv1.NetworkPolicyPeer
		switch w.IntN(4) {
		case 0:
			p.IPBlock = &networkingv1.IPBlock{CIDR: pick(w, "0.0.0.0/0", "10.0.0.0/8", "169.254.169.254/32", "203.0.113.0/24")}
		case 1:
			pods := w.selector(4)
			p.PodSelector = &pods
		default:
			p.NamespaceSelector = pick(w, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"tenant": "a"}},
				&metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick(w, "kube-system", "web", "gone")}})
			if w.IntN(2) == 0 {
				pods := w.selector(4)
				p.PodSelector = &pods
			}
		}
		out = append(out, p)
	}
	return out
}

func (w *world) ports() []networkingv1.NetworkPolicyPort {
	udp, tcp := corev1.ProtocolUDP, corev1.ProtocolTCP
	dns, http, service, named := intstr.FromInt32(53), intstr.FromInt32(8080), intstr.FromInt32(80), intstr.FromString("http")
	return pick(w, nil, nil,
		[]networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}},
		[]networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}, {Protocol: &tcp, Port: &dns}},
		[]networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &http}},
		[]networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &service}},
		[]networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &named}})
}

// read gives the objects as they are read, without those for which left is true.
func (w *world) read(t *testing.T, left func(metav1.Object) bool) []manifest.Object {
	t.Helper()
	var out []manifest.Object
	for _, obj := range w.objects {
		if left != nil && left(obj) {
			continue
		}
		o, err := manifest.New(obj)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}
