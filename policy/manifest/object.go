package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// Object is what a snapshot keeps of one object. It must not be changed.
type Object struct {
	Kind string
	// Namespace is empty for the kinds of the whole cluster.
	Namespace, Name string
	// Source is where it was read.
	Source Source

	controller reference // what made it; empty where nothing did
	// value is a *corev1.Namespace, *netpol.Policy, *netpol.TierPolicy, *cluster.Service, *cluster.Template,
	// *cluster.Pod or *cluster.Extra; nil for a template that another controls.
	value any
	// policy is the NetworkPolicy as the API server stores it, with its name, labels and annotations alone of the metadata.
	policy      *networkingv1.NetworkPolicy
	writesTypes bool // it names its policyTypes
	// owner is what people know as the pod's maker, as far as the pod itself names it.
	owner reference
	// runs counts the pods that the object's pod template makes, as far as the object says so.
	runs int

	document *document // that it was read from, where the Reader kept it
	path     string    // of the object within the document
}

// reference names an object of a namespace.
type reference struct{ kind, name string }

type key struct{ kind, namespace, name string }

func (o *Object) key() key { return key{o.Kind, o.Namespace, o.Name} }

// made gives the key of the object that made o; ok is false where none did.
func (o *Object) maker() (k key, ok bool) {
	return key{o.controller.kind, o.Namespace, o.controller.name}, o.controller.name != ""
}

// String names the object for people: "NetworkPolicy shop/api".
func (o *Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// New keeps of a typed object what a snapshot needs. It fails for a policy that does not compile, with an error that
// lists the fields, and for a kind that no snapshot has.
func New(obj metav1.Object) (Object, error) {
	o := Object{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if c := metav1.GetControllerOfNoCopy(obj); c != nil {
		o.controller = reference{c.Kind, c.Name}
	}
	var err error
	switch v := obj.(type) {
	case *corev1.Namespace:
		o.Kind, o.Namespace, o.value = "Namespace", "", slimNamespace(v)
	case *corev1.Service:
		o.Kind, o.value = "Service", cluster.ServiceOf(v)
	case *corev1.Pod:
		o.Kind, o.value = "Pod", cluster.PodOf(v)
		o.owner.kind, o.owner.name = cluster.OwnerOf(v)
	case *networkingv1.NetworkPolicy:
		o.Kind = "NetworkPolicy"
		o.policy, o.writesTypes = storedPolicy(v), len(v.Spec.PolicyTypes) > 0
		o.value, err = netpol.Compile(v)
	case *v1alpha2.ClusterNetworkPolicy:
		o.Kind, o.Namespace = "ClusterNetworkPolicy", ""
		o.value, err = netpol.CompileClusterNetworkPolicy(v)
	case *v1alpha1.AdminNetworkPolicy:
		o.Kind, o.Namespace = "AdminNetworkPolicy", ""
		o.value, err = netpol.CompileAdminNetworkPolicy(v)
	case *v1alpha1.BaselineAdminNetworkPolicy:
		o.Kind, o.Namespace = "BaselineAdminNetworkPolicy", ""
		o.value, err = netpol.CompileBaselineAdminNetworkPolicy(v)
	default:
		if o.extra(obj) {
			return o, nil
		}
		meta, kind, template, ok := podTemplate(obj)
		if !ok {
			return Object{}, fmt.Errorf("%T has no place in a snapshot", obj)
		}
		o.Kind, o.runs = kind, podsOf(obj)
		if t := cluster.NewTemplate(kind, meta, template); !t.Controlled {
			o.value = t
		}
	}
	return o, err
}

// extra makes o an object that only some guardrails read; false where obj is of no such kind.
func (o *Object) extra(obj metav1.Object) bool {
	for _, k := range resources.Kinds() {
		if reflect.TypeOf(obj) != reflect.TypeOf(k.New()) {
			continue
		}
		o.Kind = k.Kind
		if k.ClusterScoped {
			o.Namespace = ""
		}
		if x := resources.Reduce(obj); x != nil { // a nil pointer in value would not be nil
			o.value = x
		}
		return true
	}
	return false
}

// podTemplate is cluster.PodTemplate with ReplicationController, the oldest of the kinds with a pod template.
func podTemplate(obj any) (meta *metav1.ObjectMeta, kind string, template *corev1.PodTemplateSpec, ok bool) {
	if rc, isRC := obj.(*corev1.ReplicationController); isRC {
		if rc.Spec.Template == nil {
			return &rc.ObjectMeta, "ReplicationController", &corev1.PodTemplateSpec{}, true
		}
		return &rc.ObjectMeta, "ReplicationController", rc.Spec.Template, true
	}
	return cluster.PodTemplate(obj)
}

// slimNamespace keeps what a snapshot reads, and the label that the API server sets on every namespace.
func slimNamespace(ns *corev1.Namespace) *corev1.Namespace {
	out := newNamespace(ns.Name)
	for k, v := range ns.Labels {
		if k != corev1.LabelMetadataName {
			out.Labels[k] = v
		}
	}
	out.DeletionTimestamp, out.Status.Phase = ns.DeletionTimestamp, ns.Status.Phase
	return out
}

func newNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
}

// kind is one kind that is read.
type kind struct {
	group, version, name string
	clusterScoped        bool
	strict               bool // policies: a field that the API does not know is refused
	make                 func() metav1.Object
	otherVersions        []string // of the group, with the same fields
}

func (k kind) apiVersion() string {
	if k.group == "" {
		return k.version
	}
	return k.group + "/" + k.version
}

// alsoServed reports whether apiVersion is another version of the kind with the same fields.
func (k kind) alsoServed(apiVersion string) bool {
	group, version, _ := strings.Cut(apiVersion, "/")
	return group == k.group && slices.Contains(k.otherVersions, version)
}

// kinds lists what is read. It is a function so that nothing can change it.
func kinds() []kind {
	out := []kind{
		{"", "v1", "Namespace", true, false, func() metav1.Object { return &corev1.Namespace{} }, nil},
		{"", "v1", "Pod", false, false, func() metav1.Object { return &corev1.Pod{} }, nil},
		{"", "v1", "Service", false, false, func() metav1.Object { return &corev1.Service{} }, nil},
		{"", "v1", "ReplicationController", false, false, func() metav1.Object { return &corev1.ReplicationController{} }, nil},
		{"apps", "v1", "Deployment", false, false, func() metav1.Object { return &appsv1.Deployment{} }, nil},
		{"apps", "v1", "StatefulSet", false, false, func() metav1.Object { return &appsv1.StatefulSet{} }, nil},
		{"apps", "v1", "DaemonSet", false, false, func() metav1.Object { return &appsv1.DaemonSet{} }, nil},
		{"apps", "v1", "ReplicaSet", false, false, func() metav1.Object { return &appsv1.ReplicaSet{} }, nil},
		{"batch", "v1", "Job", false, false, func() metav1.Object { return &batchv1.Job{} }, nil},
		{"batch", "v1", "CronJob", false, false, func() metav1.Object { return &batchv1.CronJob{} }, nil},
		{"networking.k8s.io", "v1", "NetworkPolicy", false, true, func() metav1.Object { return &networkingv1.NetworkPolicy{} }, nil},
		{"policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy", true, true,
			func() metav1.Object { return &v1alpha2.ClusterNetworkPolicy{} }, nil},
		{"policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy", true, true,
			func() metav1.Object { return &v1alpha1.AdminNetworkPolicy{} }, nil},
		{"policy.networking.k8s.io", "v1alpha1", "BaselineAdminNetworkPolicy", true, true,
			func() metav1.Object { return &v1alpha1.BaselineAdminNetworkPolicy{} }, nil},
	}
	for _, k := range resources.Kinds() {
		out = append(out, kind{
			group: k.GroupVersionResource.Group, version: k.GroupVersionResource.Version, name: k.Kind,
			clusterScoped: k.ClusterScoped, otherVersions: k.OtherVersions, make: k.New,
		})
	}
	return out
}
