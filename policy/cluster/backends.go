package cluster

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"unique"

	"k8s.io/apimachinery/pkg/labels"
)

// backends are the sorted addresses of the pods that may be a resolver's. Pods that split tells apart share theirs:
// which of them has which address matters to no policy that is likely to exist.
type backends map[unique.Handle[shape]][]netip.Addr

// mayBackResolver reports whether pods of the namespace with these labels may be the resolver's; configured names the
// Service of the namespace that the options make the resolver.
func mayBackResolver(namespace, configured string, services iter.Seq[*Service], l labels.Set) bool {
	for s := range services {
		if (s.dns > 0 || s.Name == configured) && len(s.Selector) > 0 && s.Selector.AsSelectorPreValidated().Matches(l) {
			return true
		}
	}
	return namespace == systemNamespace && l["k8s-app"] == "kube-dns"
}

func (n *namespaceState) mayBackResolver(g *group) bool {
	return mayBackResolver(n.name, n.configured, maps.Values(n.services), g.labels)
}

func (n *namespaceState) forgetBackends(g *group) {
	if n.mayBackResolver(g) {
		n.backends = nil
	}
}

// resolverBackends collects the pods that may answer DNS queries; never nil, so that nil can mean "look again".
func (n *namespaceState) resolverBackends() backends {
	out := backends{}
	for shape, g := range n.groups {
		if n.mayBackResolver(g) {
			out[shape] = nil
		}
	}
	if len(out) == 0 {
		return out
	}
	for _, p := range n.pods {
		if addresses, ok := out[p.shape]; ok && p.governed {
			out[p.shape] = appendValid(addresses, p)
		}
	}
	for _, addresses := range out {
		slices.SortFunc(addresses, netip.Addr.Compare)
	}
	return out
}

func appendValid(to []netip.Addr, p *Pod) []netip.Addr {
	for _, a := range p.addresses {
		if a.IsValid() {
			to = append(to, a)
		}
	}
	return to
}

// moveBackend adds the addresses of a pod that came, or takes away those of one that went.
func (n *Namespace) moveBackend(o ResolverOverride, p *Pod, by int) {
	l := newGroup(n.Name, p.shape).labels
	if !mayBackResolver(n.Name, o.serviceIn(n.Name), slices.Values(n.Services), l) {
		return
	}
	addresses := slices.Clone(n.backends[p.shape])
	if by > 0 {
		addresses = appendValid(addresses, p)
		slices.SortFunc(addresses, netip.Addr.Compare)
	} else {
		addresses = slices.DeleteFunc(addresses, func(a netip.Addr) bool { return slices.Contains(p.addresses[:], a) })
	}
	n.backends = maps.Clone(n.backends)
	if n.backends == nil {
		n.backends = backends{}
	}
	n.backends[p.shape] = addresses
}
