package cluster

import (
	"maps"
	"slices"
	"unique"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// namespaceState is the changing side of a Namespace.
type namespaceState struct {
	name               string
	known, terminating bool
	labels             labels.Set
	pods               map[string]*Pod
	groups             map[unique.Handle[shape]]*group
	templates          map[string]*Template // by kind/name
	policies           map[string]*netpol.Policy
	services           map[string]*Service
	configured         string   // the Service here that the options name as the resolver
	backends           backends // nil once something changed that may be one
}

func newNamespaceState(name string) *namespaceState {
	return &namespaceState{
		name: name, pods: map[string]*Pod{}, groups: map[unique.Handle[shape]]*group{}, templates: map[string]*Template{},
		policies: map[string]*netpol.Policy{}, services: map[string]*Service{},
	}
}

func (n *namespaceState) empty() bool {
	return !n.known && len(n.pods) == 0 && len(n.templates) == 0 && len(n.policies) == 0 && len(n.services) == 0
}

func (n *namespaceState) setPod(p *Pod) {
	n.deletePod(p.Name)
	n.pods[p.Name] = p
	if !p.governed {
		return
	}
	g := n.groups[p.shape]
	if g == nil {
		g = newGroup(n.name, p.shape)
		n.groups[p.shape] = g
	}
	g.add(p, 1)
	n.forgetBackends(g)
}

func (n *namespaceState) deletePod(name string) {
	p := n.pods[name]
	if p == nil {
		return
	}
	delete(n.pods, name)
	if !p.governed {
		return
	}
	g := n.groups[p.shape]
	n.forgetBackends(g)
	if g.add(p, -1) == 0 {
		delete(n.groups, p.shape)
	}
}

// publish makes the immutable side. What did not change is shared with the last one.
func (n *namespaceState) publish(foreignKeys map[string]bool) *Namespace {
	out := &Namespace{
		Name: n.name, Labels: n.labels, Known: n.known, Terminating: n.terminating,
		Policies: sortedByKey(n.policies), Services: sortedByKey(n.services), coverage: &coverage{}, mentions: &mentions{}, reads: &reads{},
	}
	for _, key := range slices.Sorted(maps.Keys(n.templates)) {
		t := n.templates[key]
		if !t.Controlled {
			out.Templates = append(out.Templates, t.Workload)
		}
		if len(t.localDNS) > 0 {
			out.localDNS = append(out.localDNS, localCache{t.Workload.Name, t.localDNS, t.asked})
		}
		out.agents = append(out.agents, t.agents...)
	}
	slices.SortFunc(out.Templates, compareWorkloads)
	for _, g := range n.groups {
		w := g.workload()
		out.groups = append(out.groups, w)
		out.pods += w.Pods
	}
	slices.SortFunc(out.groups, compareWorkloads)
	for _, p := range out.Policies {
		own, _ := podKeys(p)
		out.ownKeys = union(out.ownKeys, own)
	}
	out.splitLive(foreignKeys)
	if n.backends == nil {
		n.backends = n.resolverBackends()
	}
	out.backends = n.backends
	return out
}

func sortedByKey[T any](m map[string]T) []T {
	if len(m) == 0 {
		return nil
	}
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}
