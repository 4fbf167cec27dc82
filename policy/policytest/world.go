package policytest

import (
	"fmt"
	"maps"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// world is a cluster whose controllers have run.
type world struct {
	builder    *cluster.Builder
	namespaces map[string]*corev1.Namespace
	policies   map[string]*networkingv1.NetworkPolicy // by namespace/name
	templates  map[string]runtime.Object              // by kind/namespace/name
	pods       map[string][]*corev1.Pod               // by namespace/owner
	addresses  int                                    // how many pods have one
}

func newWorld() *world {
	return &world{
		builder: cluster.NewBuilder(cluster.Options{}), namespaces: map[string]*corev1.Namespace{},
		policies: map[string]*networkingv1.NetworkPolicy{}, templates: map[string]runtime.Object{}, pods: map[string][]*corev1.Pod{},
	}
}

func (w *world) snapshot(cfg *config.Config) *cluster.Snapshot {
	w.builder.SetOptions(policy.SnapshotOptions(cfg))
	return w.builder.Snapshot()
}

func (w *world) ensureNamespace(name string) {
	if w.namespaces[name] == nil {
		w.namespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
}

func (w *world) namespace(ns *corev1.Namespace) {
	ns = withNameLabel(ns)
	w.namespaces[ns.Name] = ns
	w.builder.SetNamespace(ns)
}

// withNameLabel sets the label that the API server sets before admission.
func withNameLabel(ns *corev1.Namespace) *corev1.Namespace {
	ns = ns.DeepCopy()
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
	return ns
}

// add puts obj into the cluster, and what its controller would make of it.
func (w *world) add(obj runtime.Object) error {
	if ns, ok := obj.(*corev1.Namespace); ok {
		w.namespace(ns)
		return nil
	}
	if x, known := extra(obj); known {
		if x != nil {
			w.builder.SetExtra(x)
		}
		if o := obj.(metav1.Object); o.GetNamespace() != "" {
			w.ensureNamespace(o.GetNamespace())
		}
		return nil
	}
	if p, err := tierPolicy(obj); p != nil || err != nil {
		if err == nil {
			w.builder.SetTierPolicy(p)
		}
		return err
	}
	if o, ok := obj.(metav1.Object); ok {
		w.ensureNamespace(o.GetNamespace())
	}
	switch o := obj.(type) {
	case *networkingv1.NetworkPolicy:
		defaultPolicy(o)
		p, err := netpol.Compile(o)
		if err != nil {
			return err
		}
		w.policies[o.Namespace+"/"+o.Name] = o
		w.builder.SetPolicy(p)
		return nil
	case *corev1.Service:
		w.builder.SetService(cluster.ServiceOf(o))
		return nil
	case *corev1.Pod:
		if o.Status.Phase == "" {
			o.Status.Phase = corev1.PodRunning
		}
		w.pod(o, o.Name)
		return nil
	}
	t, ok := cluster.TemplateOf(obj)
	if !ok {
		return fmt.Errorf("%T is nothing that the snapshot holds", obj)
	}
	w.templates[t.Workload.Kind+"/"+t.Workload.Namespace+"/"+t.Workload.Name] = obj
	w.builder.SetTemplate(t)
	switch o := obj.(type) {
	case *appsv1.Deployment:
		w.run(o.Namespace, o.Name, "ReplicaSet", o.Name+"-5d8f", replicas(o.Spec.Replicas), o.Spec.Template,
			func(int) map[string]string { return map[string]string{"pod-template-hash": "5d8f"} })
	case *appsv1.StatefulSet:
		w.run(o.Namespace, o.Name, "StatefulSet", o.Name, replicas(o.Spec.Replicas), o.Spec.Template, func(i int) map[string]string {
			return map[string]string{
				"statefulset.kubernetes.io/pod-name": fmt.Sprintf("%s-%d", o.Name, i), "apps.kubernetes.io/pod-index": fmt.Sprint(i),
				"controller-revision-hash": o.Name + "-7c9",
			}
		})
	case *appsv1.DaemonSet:
		w.run(o.Namespace, o.Name, "DaemonSet", o.Name, 2, o.Spec.Template,
			func(int) map[string]string { return map[string]string{"controller-revision-hash": "7c9"} })
	case *batchv1.Job:
		w.run(o.Namespace, o.Name, "Job", o.Name, 1, o.Spec.Template,
			func(int) map[string]string { return map[string]string{"job-name": o.Name} })
	}
	return nil
}

// extra reduces an object that only some guardrails read; known is false for any other. One that tells nothing is nil.
func extra(obj runtime.Object) (x *cluster.Extra, known bool) {
	for _, k := range resources.Kinds() {
		if reflect.TypeOf(obj) == reflect.TypeOf(k.New()) {
			return resources.Reduce(obj), true
		}
	}
	return nil, false
}

// tierPolicy compiles a policy of the whole cluster; of any other object it gives nil.
func tierPolicy(obj runtime.Object) (*netpol.TierPolicy, error) {
	switch o := obj.(type) {
	case *v1alpha2.ClusterNetworkPolicy:
		return netpol.CompileClusterNetworkPolicy(o)
	case *v1alpha1.AdminNetworkPolicy:
		return netpol.CompileAdminNetworkPolicy(o)
	case *v1alpha1.BaselineAdminNetworkPolicy:
		return netpol.CompileBaselineAdminNetworkPolicy(o)
	}
	return nil, nil
}

func replicas(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

func (w *world) run(namespace, owner, kind, controller string, n int, t corev1.PodTemplateSpec, more func(i int) map[string]string) {
	yes := true
	for i := range n {
		p := &corev1.Pod{ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: *t.Spec.DeepCopy(), Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		p.Namespace, p.Name = namespace, fmt.Sprintf("%s-%d", controller, i)
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		maps.Copy(p.Labels, more(i))
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: controller, Controller: &yes}}
		w.pod(p, owner)
	}
}

func (w *world) pod(p *corev1.Pod, owner string) {
	if w.addresses++; p.Status.PodIP == "" {
		p.Status.PodIP = fmt.Sprintf("10.244.%d.%d", w.addresses/256, w.addresses%256)
	}
	key := p.Namespace + "/" + owner
	w.pods[key] = append(w.pods[key], p)
	w.builder.SetPod(cluster.PodOf(p))
}

func (w *world) editPod(e *PodEdit) (old, new *corev1.Pod, err error) {
	pods := w.pods[e.Namespace+"/"+e.Of]
	if len(pods) == 0 {
		return nil, nil, fmt.Errorf("request.pod: nothing called %s runs in %s", e.Of, e.Namespace)
	}
	old = pods[0]
	new = old.DeepCopy()
	for k, v := range e.Labels {
		if v == nil {
			delete(new.Labels, k)
		} else {
			new.Labels[k] = *v
		}
	}
	return old, new, nil
}

// addResolver gives the cluster the DNS that every cluster has.
func (w *world) addResolver() {
	w.ensureNamespace("kube-system")
	two := int32(2)
	labels := map[string]string{"k8s-app": "kube-dns"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns", Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				DNSPolicy: corev1.DNSDefault,
				Containers: []corev1.Container{{Name: "coredns", Ports: []corev1.ContainerPort{
					{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: 53}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, ContainerPort: 53},
				}}},
			}},
		},
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", Labels: labels},
		Spec: corev1.ServiceSpec{Selector: labels, ClusterIPs: []string{"10.96.0.10"}, Ports: []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
		}},
	}
	for _, obj := range []runtime.Object{deployment, service} {
		if err := w.add(obj); err != nil {
			panic(err) // both are written above
		}
	}
}

// defaultPolicy sets what the API server sets before admission.
func defaultPolicy(np *networkingv1.NetworkPolicy) {
	if len(np.Spec.PolicyTypes) == 0 {
		np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(np.Spec.Egress) > 0 {
			np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
}
