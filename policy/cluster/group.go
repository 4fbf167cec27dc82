package cluster

import (
	"unique"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// group is the changing side of a Workload.
type group struct {
	namespace string
	shape     unique.Handle[shape]
	labels    labels.Set             // decoded from shape
	ports     []netpol.ContainerPort // decoded from shape
	pods      int
	variants  map[variant]int
	addresses [2]int    // by familyOf, how many the pods have
	made      *Workload // nil once something changed
}

func newGroup(namespace string, s unique.Handle[shape]) *group {
	g := &group{
		namespace: namespace, shape: s, labels: labels.Set{}, ports: decodePorts(s.Value().ports), variants: map[variant]int{},
	}
	decodeLabels(s.Value().labels, g.labels)
	return g
}

// add counts p in or out and gives the number of pods that are left.
func (g *group) add(p *Pod, by int) int {
	g.pods += by
	if g.variants[p.variant] += by; g.variants[p.variant] == 0 {
		delete(g.variants, p.variant)
	}
	for _, a := range p.addresses {
		if a.IsValid() {
			g.addresses[familyOf(a)] += by
		}
	}
	g.made = nil
	return g.pods
}

func (g *group) workload() *Workload {
	if g.made != nil {
		return g.made
	}
	s := g.shape.Value()
	w := &Workload{
		Namespace: g.namespace, Labels: g.labels, Ports: g.ports, HostNetwork: s.hostNetwork, DNSPolicy: s.dnsPolicy,
		Pods: g.pods, shape: g.shape, variants: make([]variantCount, 0, len(g.variants)),
		families: families{g.addresses[0] > 0, g.addresses[1] > 0},
	}
	for v, pods := range g.variants {
		w.variants = append(w.variants, variantCount{v, pods})
	}
	o := firstOwner(w.variants)
	w.Kind, w.Name = o.kind, o.name
	g.made = w
	return w
}
