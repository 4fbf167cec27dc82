package cluster

import (
	"cmp"
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
	variants []variantCount      // in no order; none for a template
	made     unique.Handle[uses] // of a template, or of a pod by itself
	families families
}

// variant is what may differ between the pods of one workload.
type variant struct {
	labels unique.Handle[string] // the per-pod labels; canonical, see encodeLabels
	owner  unique.Handle[owner]
	uses   unique.Handle[uses]
}

// variantCount counts the pods of a workload that are one variant.
type variantCount struct {
	variant
	pods int
}

// firstOwner gives the owner that a workload is named after: the first by name of those that its pods have.
func firstOwner(variants []variantCount) owner {
	first := variants[0].owner
	for _, v := range variants[1:] {
		if v.owner != first && compareOwners(v.owner.Value(), first.Value()) < 0 {
			first = v.owner
		}
	}
	return first.Value()
}

func compareOwners(a, b owner) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.kind, b.kind))
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
	best := ""
	for k := range w.Labels {
		if !perPodKeys[k] && (best == "" || k < best) {
			best = k
		}
	}
	if best == "" {
		return w.Name
	}
	return best + "=" + w.Labels[best]
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

func notPerPod(key string) bool { return !perPodKeys[key] }

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

// decodeLabels adds to into what encodeLabels wrote.
func decodeLabels(s string, into labels.Set) {
	for s != "" {
		k, v, _ := strings.Cut(s, "\x00")
		v, s, _ = strings.Cut(v, "\x00")
		into[k] = v
	}
}

// packed gives a copy of l whose strings share one piece of memory. The garbage collector looks at each string of its own
// again and again, and a large cluster's labels are hundreds of thousands.
func packed(l map[string]string) labels.Set {
	if l == nil {
		return nil
	}
	out := make(labels.Set, len(l))
	decodeLabels(encodeLabels(l, func(string) bool { return true }), out)
	return out
}

// keepLabels gives of what encodeLabels wrote the labels with one of the keys.
func keepLabels(s string, keys map[string]bool) string {
	var b strings.Builder
	for s != "" {
		k, rest, _ := strings.Cut(s, "\x00")
		_, rest, _ = strings.Cut(rest, "\x00")
		if keys[k] {
			b.WriteString(s[:len(s)-len(rest)])
		}
		s = rest
	}
	return b.String()
}

// varies reports whether some pod of the workload has a per-pod label with one of the keys.
func (w *Workload) varies(keys map[string]bool) bool {
	for _, v := range w.variants {
		for k := range keys {
			if strings.Contains(v.labels.Value(), k) {
				return true
			}
		}
	}
	return false
}

// split appends to out the workload divided by the per-pod labels of the given keys, for policies that select on them.
func (w *Workload) split(out []*Workload, keys map[string]bool) []*Workload {
	if !w.varies(keys) {
		return append(out, w)
	}
	parts := map[string][]variantCount{}
	for _, v := range w.variants {
		encoded := keepLabels(v.labels.Value(), keys)
		parts[encoded] = append(parts[encoded], v)
	}
	for _, encoded := range slices.Sorted(maps.Keys(parts)) {
		part := *w
		part.Labels = maps.Clone(w.Labels)
		decodeLabels(encoded, part.Labels)
		part.Pods, part.variants = 0, parts[encoded]
		for _, v := range parts[encoded] {
			part.Pods += v.pods
		}
		o := firstOwner(parts[encoded])
		part.Kind, part.Name = o.kind, o.name
		out = append(out, &part)
	}
	return out
}

// resized gives w with one pod like p more or less, nil where none is left; found is false where w has none like p to
// lose.
func (w *Workload) resized(p *Pod, by int) (out *Workload, found bool) {
	copied := *w
	copied.Pods += by
	copied.families = copied.families.with(p)
	copied.variants = slices.Clone(w.variants)
	i := slices.IndexFunc(copied.variants, func(v variantCount) bool { return v.variant == p.variant })
	switch {
	case i >= 0:
		if copied.variants[i].pods += by; copied.variants[i].pods == 0 {
			copied.variants = slices.Delete(copied.variants, i, i+1)
		}
	case by < 0:
		return w, false
	default:
		copied.variants = append(copied.variants, variantCount{p.variant, by})
	}
	if copied.Pods == 0 {
		return nil, true
	}
	o := firstOwner(copied.variants)
	copied.Kind, copied.Name = o.kind, o.name
	return &copied, true
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
