package cluster

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// extraSet is all objects of one Resource in a snapshot. Snapshots share it until one of them changes.
type extraSet struct {
	sorted []*Extra // by namespace and name
	once   sync.Once
	lookup map[string][]*Extra // by what they are for; each sorted
}

func (x *extraSet) forKey(key string) []*Extra {
	if x == nil {
		return nil
	}
	x.once.Do(func() {
		x.lookup = map[string][]*Extra{}
		for _, e := range x.sorted {
			for _, k := range e.For {
				x.lookup[k] = append(x.lookup[k], e)
			}
		}
	})
	return x.lookup[key]
}

// SetExtra adds or replaces an object that only some guardrails read.
func (b *Builder) SetExtra(x *Extra) {
	all := b.extras[x.Resource]
	if old := all[x.key()]; old != nil && reflect.DeepEqual(old, x) {
		return
	}
	if all == nil {
		all = map[string]*Extra{}
		b.extras[x.Resource] = all
	}
	all[x.key()] = x
	b.changedExtras[x.Resource] = true
}

// DeleteExtra removes an object that only some guardrails read.
func (b *Builder) DeleteExtra(r Resource, namespace, name string) {
	key := namespace + "/" + name
	if b.extras[r][key] == nil {
		return
	}
	delete(b.extras[r], key)
	b.changedExtras[r] = true
}

// ReplaceExtras makes list all objects of the resource.
func (b *Builder) ReplaceExtras(r Resource, list []*Extra) {
	have := map[string]bool{}
	for _, x := range list {
		have[x.key()] = true
		b.SetExtra(x)
	}
	for key := range b.extras[r] {
		if !have[key] {
			delete(b.extras[r], key)
			b.changedExtras[r] = true
		}
	}
}

// publishExtras gives the sets of the next snapshot; what did not change is shared with the last one.
func (b *Builder) publishExtras(last map[Resource]*extraSet) map[Resource]*extraSet {
	if len(b.changedExtras) == 0 {
		return last
	}
	out := maps.Clone(last)
	if out == nil {
		out = map[Resource]*extraSet{}
	}
	for r := range b.changedExtras {
		set := &extraSet{sorted: slices.Collect(maps.Values(b.extras[r]))}
		slices.SortFunc(set.sorted, func(x, y *Extra) int { return strings.Compare(x.key(), y.key()) })
		out[r] = set
	}
	b.changedExtras = map[Resource]bool{}
	return out
}

// values gives the objects of the resources that are for the key, or for everything; sorted within each resource.
func values[T any](s *Snapshot, key string, resources ...Resource) []T {
	var out []T
	for _, r := range resources {
		for _, k := range [...]string{key, Everywhere} {
			for _, x := range s.extras[r].forKey(k) {
				out = append(out, x.Value.(T))
			}
		}
	}
	return out
}

// all gives all objects of the resource, sorted by namespace and name.
func all[T any](s *Snapshot, r Resource) []T {
	set := s.extras[r]
	if set == nil {
		return nil
	}
	out := make([]T, 0, len(set.sorted))
	for _, x := range set.sorted {
		out = append(out, x.Value.(T))
	}
	return out
}

// Ingresses gives the Ingresses of the namespace.
func (s *Snapshot) Ingresses(namespace string) []*Ingress {
	return values[*Ingress](s, namespace, Ingresses)
}

// IngressClasses gives all IngressClasses.
func (s *Snapshot) IngressClasses() []*IngressClass { return all[*IngressClass](s, IngressClasses) }

// HTTPRoutes gives the HTTPRoutes of all namespaces that lead to Services of this one.
func (s *Snapshot) HTTPRoutes(namespace string) []*HTTPRoute {
	return values[*HTTPRoute](s, namespace, HTTPRoutes)
}

// Gateway gives one Gateway, nil where there is none.
func (s *Snapshot) Gateway(name NamespacedName) *Gateway {
	for _, g := range values[*Gateway](s, name.Namespace, Gateways) {
		if g.Name == name.Name {
			return g
		}
	}
	return nil
}

// Gateways gives the Gateways of the namespace.
func (s *Snapshot) Gateways(namespace string) []*Gateway {
	return values[*Gateway](s, namespace, Gateways)
}

// GatewayClasses gives all GatewayClasses.
func (s *Snapshot) GatewayClasses() []*GatewayClass { return all[*GatewayClass](s, GatewayClasses) }

// Monitors gives the ServiceMonitors and PodMonitors of all namespaces that may select something in this one.
func (s *Snapshot) Monitors(namespace string) []*Monitor {
	return values[*Monitor](s, namespace, ServiceMonitors, PodMonitors)
}

// Callbacks gives what the API server calls in the namespace: webhook configurations and APIServices. Those name Services of
// other namespaces too.
func (s *Snapshot) Callbacks(namespace string) []*Callback {
	return values[*Callback](s, namespace, ValidatingWebhookConfigurations, MutatingWebhookConfigurations, APIServices)
}

// Issuers gives the Issuers of the namespace and all ClusterIssuers.
func (s *Snapshot) Issuers(namespace string) []*Issuer {
	return values[*Issuer](s, namespace, Issuers, ClusterIssuers)
}

// APIServers gives the endpoints of the Service default/kubernetes, behind which the API servers are.
func (s *Snapshot) APIServers() []*EndpointSlice { return all[*EndpointSlice](s, EndpointSlices) }

// Nodes gives all nodes.
func (s *Snapshot) Nodes() []*Node { return all[*Node](s, Nodes) }

// ServiceCIDRs gives all ServiceCIDRs.
func (s *Snapshot) ServiceCIDRs() []*ServiceCIDR { return all[*ServiceCIDR](s, ServiceCIDRs) }

// Bindings gives the role bindings that grant something to the service account, by its name or by a group that it is in
// with few others: those of its namespace, or of all service accounts.
func (s *Snapshot) Bindings(namespace, account string) []*Binding {
	out := values[*Binding](s, namespace+"/"+account, RoleBindings, ClusterRoleBindings)
	for _, r := range [...]Resource{RoleBindings, ClusterRoleBindings} {
		for _, x := range s.extras[r].forKey(namespace + "/" + Everywhere) {
			out = append(out, x.Value.(*Binding))
		}
	}
	return out
}
