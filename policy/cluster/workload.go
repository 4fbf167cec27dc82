package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Workload is a set of pods that no policy can tell apart (same namespace, labels, ports, host network), or a pod
// template. It must not be changed.
type Workload struct {
	// Namespace of the pods.
	Namespace string
	// Kind and Name of what made the pods (Deployment, StatefulSet, …), or Pod and the pod's name where nothing did.
	// Several owners can share one workload; then it is the first by name.
	Kind, Name string
	// Labels that all the pods share. Labels that differ from pod to pod by construction, such as
	// statefulset.kubernetes.io/pod-name, are left out unless a policy selects on them.
	Labels labels.Set
	// Ports that the containers declare.
	Ports []netpol.ContainerPort
	// HostNetwork says that the pods use their node's network.
	HostNetwork bool
	// DNSPolicy of the pods; empty means ClusterFirst, the API's default.
	DNSPolicy corev1.DNSPolicy
	// Pods counts the live pods: neither finished nor being deleted. It is 0 for a template.
	Pods int
	// Template marks a pod template.
	Template bool

	shape    unique.Handle[shape]
	variants []variant // in no order
}

// variant counts the pods of a workload that share their per-pod labels.
type variant struct {
	labels unique.Handle[string] // canonical, see encodeLabels
	pods   int
}

// Live reports whether w stands for running pods rather than for a template.
func (w *Workload) Live() bool { return !w.Template && w.Pods > 0 }

// Endpoint gives w as NetworkPolicy sees one of its pods. namespaceLabels are the labels of its Namespace.
func (w *Workload) Endpoint(namespaceLabels labels.Set) netpol.Endpoint {
	return netpol.Endpoint{
		Namespace: w.Namespace, NamespaceLabels: namespaceLabels,
		Labels: w.Labels, Ports: w.Ports, HostNetwork: w.HostNetwork,
	}
}

// ClusterDNS reports whether the pods ask the cluster's resolver: dnsPolicy ClusterFirst (the default) or
// ClusterFirstWithHostNet, on a network of their own. Source: core/v1 PodSpec.dnsPolicy.
func (w *Workload) ClusterDNS() bool {
	if w.HostNetwork {
		return false
	}
	return w.DNSPolicy == "" || w.DNSPolicy == corev1.DNSClusterFirst || w.DNSPolicy == corev1.DNSClusterFirstWithHostNet
}

// identifying lists label keys by which people know a workload, best first.
var identifying = [...]string{"app", "app.kubernetes.io/name", "k8s-app", "tier", "component", "app.kubernetes.io/component", "name"}

// Label gives the one label by which people know the workload, such as "app=api", or its owner's name where it has
// none.
func (w *Workload) Label() string {
	for _, k := range identifying {
		if v, ok := w.Labels[k]; ok {
			return k + "=" + v
		}
	}
	if len(w.Labels) == 0 {
		return w.Name
	}
	k := slices.Min(slices.Collect(maps.Keys(w.Labels)))
	return k + "=" + w.Labels[k]
}

// perPodKeys are the label keys whose values Kubernetes itself sets per pod or per rollout. Leaving them out is what
// lets the pods of a StatefulSet, Job or DaemonSet be one workload.
var perPodKeys = map[string]bool{
	"pod-template-hash":                        true,
	"controller-revision-hash":                 true,
	"pod-template-generation":                  true,
	"statefulset.kubernetes.io/pod-name":       true,
	"apps.kubernetes.io/pod-index":             true,
	"job-name":                                 true,
	"controller-uid":                           true,
	"batch.kubernetes.io/job-name":             true,
	"batch.kubernetes.io/controller-uid":       true,
	"batch.kubernetes.io/job-completion-index": true,
}

// PerPodKey reports whether Kubernetes sets the label key anew for each pod or each rollout.
func PerPodKey(key string) bool { return perPodKeys[key] }

// encodeLabels writes those labels for which keep holds in an order of their own. Label keys and values hold no NUL.
func encodeLabels(l map[string]string, keep func(key string) bool) string {
	keys := make([]string, 0, len(l))
	for k := range l {
		if keep(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k)
		b.WriteByte(0)
		b.WriteString(l[k])
		b.WriteByte(0)
	}
	return b.String()
}

// decodeLabels adds to into what encodeLabels wrote, for the keys for which keep holds.
func decodeLabels(s string, into labels.Set, keep func(key string) bool) {
	for s != "" {
		k, rest, _ := strings.Cut(s, "\x00")
		v, rest, _ := strings.Cut(rest, "\x00")
		if keep(k) {
			into[k] = v
		}
		s = rest
	}
}

// split divides the workload by the per-pod labels of the given keys, for policies that select on them.
func (w *Workload) split(keys map[string]bool) []*Workload {
	if len(keys) == 0 || len(w.variants) == 0 {
		return []*Workload{w}
	}
	keep := func(k string) bool { return keys[k] }
	counts := map[string]int{}
	for _, v := range w.variants {
		set := labels.Set{}
		decodeLabels(v.labels.Value(), set, keep)
		counts[encodeLabels(set, keep)] += v.pods
	}
	if _, ok := counts[""]; ok && len(counts) == 1 {
		return []*Workload{w}
	}
	out := make([]*Workload, 0, len(counts))
	for _, encoded := range slices.Sorted(maps.Keys(counts)) {
		part := *w
		part.Labels = maps.Clone(w.Labels)
		if part.Labels == nil {
			part.Labels = labels.Set{}
		}
		decodeLabels(encoded, part.Labels, keep)
		part.Pods = counts[encoded]
		part.variants = nil
		out = append(out, &part)
	}
	return out
}

// resized gives w with one pod more or less, nil where none is left.
func (w *Workload) resized(p *Pod, by int) *Workload {
	if w.Pods+by <= 0 {
		return nil
	}
	out := *w
	out.Pods += by
	out.variants = slices.Clone(w.variants)
	i := slices.IndexFunc(out.variants, func(v variant) bool { return v.labels == p.perPod })
	switch {
	case i >= 0:
		out.variants[i].pods += by
	case by > 0:
		out.variants = append(out.variants, variant{p.perPod, by})
	}
	out.variants = slices.DeleteFunc(out.variants, func(v variant) bool { return v.pods <= 0 })
	return &out
}

// compareWorkloads orders workloads by namespace, name, kind and then by everything else that tells them apart.
func compareWorkloads(a, b *Workload) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if c := strings.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	all := func(string) bool { return true }
	if c := strings.Compare(encodeLabels(a.Labels, all), encodeLabels(b.Labels, all)); c != 0 {
		return c
	}
	return strings.Compare(fmt.Sprint(a.HostNetwork, a.DNSPolicy, a.Ports), fmt.Sprint(b.HostNetwork, b.DNSPolicy, b.Ports))
}
