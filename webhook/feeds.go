package webhook

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// feed describes how one resource gets into the store. Each object is reduced as soon as it is decoded, so that no
// complete list of a large cluster's pods is ever held in memory.
type feed struct {
	group, resource string
	// source lists and watches through the typed client; nil for optional kinds, many of which it does not know.
	source  func(kubernetes.Interface) *cache.ListWatch
	example runtime.Object
	// keep reduces an object to what the snapshot needs; nil drops it.
	keep func(obj any) any
	// set, remove and replace put reduced objects into a store whose lock is held.
	set     func(s *Store, kept any)
	remove  func(s *Store, namespace, name string)
	replace func(s *Store, kept []any)
}

// name is how people write the resource, such as "networkpolicies.networking.k8s.io".
func (f *feed) name() string {
	if f.group == "" {
		return f.resource
	}
	return f.resource + "." + f.group
}

// ResourceNames lists the resources that the snapshot is made of, such as "networkpolicies.networking.k8s.io".
func ResourceNames() []string {
	var out []string
	for _, f := range feeds() {
		out = append(out, f.name())
	}
	return out
}

// feeds lists every resource that the snapshot is made of.
func feeds() []feed {
	return []feed{
		{
			resource: "namespaces", example: &corev1.Namespace{},
			source:  func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.CoreV1().Namespaces()) },
			keep:    func(obj any) any { return keepNamespace(obj.(*corev1.Namespace)) },
			set:     func(s *Store, kept any) { s.builder.SetNamespace(kept.(*corev1.Namespace)) },
			remove:  func(s *Store, _, name string) { s.builder.DeleteNamespace(name) },
			replace: func(s *Store, kept []any) { s.builder.ReplaceNamespaces(as[*corev1.Namespace](kept)) },
		},
		{
			resource: "pods", example: &corev1.Pod{},
			source:  func(c kubernetes.Interface) *cache.ListWatch { return slimPods(listWatch(c.CoreV1().Pods(""))) },
			keep:    func(obj any) any { return cluster.PodOf(obj.(*corev1.Pod)) },
			set:     func(s *Store, kept any) { s.builder.SetPod(kept.(*cluster.Pod)) },
			remove:  func(s *Store, namespace, name string) { s.builder.DeletePod(namespace, name) },
			replace: func(s *Store, kept []any) { s.builder.ReplacePods(as[*cluster.Pod](kept)) },
		},
		{
			resource: "services", example: &corev1.Service{},
			source:  func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.CoreV1().Services("")) },
			keep:    func(obj any) any { return cluster.ServiceOf(obj.(*corev1.Service)) },
			set:     func(s *Store, kept any) { s.builder.SetService(kept.(*cluster.Service)) },
			remove:  func(s *Store, namespace, name string) { s.builder.DeleteService(namespace, name) },
			replace: func(s *Store, kept []any) { s.builder.ReplaceServices(as[*cluster.Service](kept)) },
		},
		{
			group: "networking.k8s.io", resource: "networkpolicies", example: &networkingv1.NetworkPolicy{},
			source:  func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.NetworkingV1().NetworkPolicies("")) },
			keep:    func(obj any) any { return keepPolicy(obj.(*networkingv1.NetworkPolicy)) },
			set:     func(s *Store, kept any) { s.setPolicy(kept.(storedPolicy)) },
			remove:  (*Store).removePolicy,
			replace: func(s *Store, kept []any) { s.replacePolicies(as[storedPolicy](kept)) },
		},
		templateFeed("apps", "deployments", "Deployment", &appsv1.Deployment{},
			func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.AppsV1().Deployments("")) }),
		templateFeed("apps", "statefulsets", "StatefulSet", &appsv1.StatefulSet{},
			func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.AppsV1().StatefulSets("")) }),
		templateFeed("apps", "daemonsets", "DaemonSet", &appsv1.DaemonSet{},
			func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.AppsV1().DaemonSets("")) }),
		templateFeed("apps", "replicasets", "ReplicaSet", &appsv1.ReplicaSet{},
			func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.AppsV1().ReplicaSets("")) }),
		templateFeed("batch", "jobs", "Job", &batchv1.Job{},
			func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.BatchV1().Jobs("")) }),
		templateFeed("batch", "cronjobs", "CronJob", &batchv1.CronJob{},
			func(c kubernetes.Interface) *cache.ListWatch { return listWatch(c.BatchV1().CronJobs("")) }),
	}
}

func templateFeed(group, resource, kind string, example runtime.Object, source func(kubernetes.Interface) *cache.ListWatch) feed {
	return feed{
		group: group, resource: resource, source: source, example: example,
		keep: func(obj any) any {
			// A controlled template is no candidate of its own; a large cluster keeps ten old ReplicaSets a Deployment.
			if t, ok := cluster.TemplateOf(obj); ok && !t.Controlled {
				return t
			}
			return nil
		},
		set:     func(s *Store, kept any) { s.builder.SetTemplate(kept.(*cluster.Template)) },
		remove:  func(s *Store, namespace, name string) { s.builder.DeleteTemplate(namespace, kind, name) },
		replace: func(s *Store, kept []any) { s.builder.ReplaceTemplates(kind, as[*cluster.Template](kept)) },
	}
}

func as[T any](kept []any) []T {
	out := make([]T, 0, len(kept))
	for _, k := range kept {
		out = append(out, k.(T))
	}
	return out
}

func keepNamespace(ns *corev1.Namespace) *corev1.Namespace {
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: ns.Name, Labels: ns.Labels, DeletionTimestamp: ns.DeletionTimestamp},
		Status:     corev1.NamespaceStatus{Phase: ns.Status.Phase},
	}
}

// lister is what the typed clients of all resources have in common.
type lister[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

func listWatch[L runtime.Object](c lister[L]) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return c.List(ctx, o)
		},
		WatchFuncWithContext: c.Watch,
	}
}

// slimPods reduces each page of a list as it arrives, for API servers that do not stream lists.
func slimPods(lw *cache.ListWatch) *cache.ListWatch {
	list := lw.ListWithContextFunc
	lw.ListWithContextFunc = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		out, err := list(ctx, o)
		if pods, ok := out.(*corev1.PodList); ok && err == nil {
			for i := range pods.Items {
				pods.Items[i] = slimPod(&pods.Items[i])
			}
		}
		return out, err
	}
	return lw
}

// slimPod keeps of p the fields that cluster.PodOf reads.
func slimPod(p *corev1.Pod) corev1.Pod {
	out := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, GenerateName: p.GenerateName, Labels: p.Labels, OwnerReferences: p.OwnerReferences,
			DeletionTimestamp: p.DeletionTimestamp, ResourceVersion: p.ResourceVersion, UID: p.UID, Annotations: p.Annotations,
		},
		Spec: corev1.PodSpec{
			HostNetwork: p.Spec.HostNetwork, DNSPolicy: p.Spec.DNSPolicy, ServiceAccountName: p.Spec.ServiceAccountName,
			Volumes: p.Spec.Volumes,
		},
		Status: corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, PodIPs: p.Status.PodIPs},
	}
	for i := range p.Spec.InitContainers {
		out.Spec.InitContainers = append(out.Spec.InitContainers, slimContainer(&p.Spec.InitContainers[i]))
	}
	for i := range p.Spec.Containers {
		out.Spec.Containers = append(out.Spec.Containers, slimContainer(&p.Spec.Containers[i]))
	}
	return out
}

func slimContainer(c *corev1.Container) corev1.Container {
	return corev1.Container{
		RestartPolicy: c.RestartPolicy, Ports: c.Ports, Env: c.Env, Command: c.Command, Args: c.Args,
		StartupProbe: c.StartupProbe, ReadinessProbe: c.ReadinessProbe, LivenessProbe: c.LivenessProbe,
	}
}
