package cluster

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// ResolverOverride names the resolver where discovery would not find it. The zero value leaves all to discovery.
type ResolverOverride struct {
	// Namespace and Service of the DNS Service.
	Namespace, Service string
	// Addresses at which pods reach a resolver besides the Service: a node-local cache, a server outside the cluster.
	Addresses []netip.Addr
}

// serviceIn gives the name of the configured DNS Service where it is one of the namespace.
func (o ResolverOverride) serviceIn(namespace string) string {
	if o.Namespace != namespace {
		return ""
	}
	return o.Service
}

// Resolver is where the cluster's pods send their DNS queries.
type Resolver struct {
	// Namespace and Service of the DNS Service; empty where none is known.
	Namespace, Service string
	// Selector of the Service's pods.
	Selector labels.Set
	// ServiceAddresses are the Service's cluster IPs. Whether a policy can allow them by ipBlock depends on the plugin.
	ServiceAddresses []netip.Addr
	// ServicePort is the Service's own UDP port, 53 but for oddities.
	ServicePort uint16
	// Backends are the Service's pods with the UDP and TCP ports that they listen on.
	Backends []ResolverBackend
	// Local are addresses that no pod selector can match: node-local caches and configured servers.
	Local []netip.Addr
	// Asked are those of Local that the pods' resolv.conf is known to name, and that are of one node alone: link-local ones.
	Asked []netip.Addr
}

// ResolverBackend is a set of the resolver's pods that no policy can tell apart.
type ResolverBackend struct {
	Endpoint netpol.Endpoint
	// UDP and TCP are the ports on which the pods answer, after the Service's translation; 0 where they do not.
	UDP, TCP uint16
}

// Known reports whether there is anything that a policy could allow or cut.
func (r *Resolver) Known() bool {
	return len(r.Backends) > 0 || len(r.Local) > 0
}

// Name names the resolver for people: "kube-system/kube-dns", or its address.
func (r *Resolver) Name() string {
	switch {
	case r.Service != "":
		return r.Namespace + "/" + r.Service
	case len(r.Local) > 0:
		return r.Local[0].String()
	}
	return "the cluster's resolver"
}

// Port gives the port on which the resolver's pods answer on protocol, 0 where they do not.
func (b *ResolverBackend) Port(protocol corev1.Protocol) uint16 {
	if protocol == corev1.ProtocolTCP {
		return b.TCP
	}
	return b.UDP
}

// Resolver gives the cluster's resolver as the snapshot knows it. It must not be changed.
func (s *Snapshot) Resolver() *Resolver { return &s.resolver }

// localCache is a node-local DNS cache that some DaemonSet runs.
type localCache struct {
	name      string
	addresses []netip.Addr
	asked     bool // the pods' resolv.conf names the addresses
}

// findResolver looks for the DNS Service: the configured one, or the one whose name or label says so.
func findResolver(s *Snapshot) Resolver {
	r := Resolver{Local: slices.Clone(s.options.Resolver.Addresses)}
	for _, a := range r.Local {
		if a.IsLinkLocalUnicast() {
			r.Asked = append(r.Asked, a)
		}
	}
	var found *Service
	if o := s.options.Resolver; o.Service != "" {
		if n := s.Namespace(o.Namespace); n != nil {
			if i := slices.IndexFunc(n.Services, func(x *Service) bool { return x.Name == o.Service }); i >= 0 {
				found = n.Services[i]
			}
		}
	} else {
		for _, namespace := range [...]string{systemNamespace, openshiftDNS} {
			n := s.Namespace(namespace)
			if n == nil {
				continue
			}
			for _, x := range n.Services {
				if x.dns > 0 && (found == nil || x.dns < found.dns) {
					found = x
				}
			}
		}
	}
	if n := s.Namespace(systemNamespace); n != nil {
		for _, c := range n.localDNS {
			r.Local = append(r.Local, c.addresses...)
			if c.asked {
				r.Asked = append(r.Asked, c.addresses...)
			}
		}
	}
	slices.SortFunc(r.Local, netip.Addr.Compare)
	slices.SortFunc(r.Asked, netip.Addr.Compare)
	r.Local, r.Asked = slices.Compact(r.Local), slices.Compact(r.Asked)
	if found == nil {
		return r
	}
	r.Namespace, r.Service, r.Selector, r.ServiceAddresses = found.Namespace, found.Name, found.Selector, found.ClusterIPs
	// NodeLocal DNSCache may listen on the Service's own address too; that one is no address of its own.
	r.Local = slices.DeleteFunc(r.Local, func(a netip.Addr) bool { return slices.Contains(found.ClusterIPs, a) })
	r.Backends = backendsFor(s, found, &r)
	return r
}

// backendsFor resolves the Service's ports on its pods.
func backendsFor(s *Snapshot, svc *Service, r *Resolver) []ResolverBackend {
	if len(svc.Selector) == 0 {
		return nil
	}
	n := s.Namespace(svc.Namespace)
	selector := svc.Selector.AsSelectorPreValidated()
	var out []ResolverBackend
	for _, w := range s.Live(n) {
		if !selector.Matches(w.Labels) {
			continue
		}
		b := ResolverBackend{Endpoint: s.Endpoint(w)}
		// Some plugins match host-network pods by selector and some do not. What cannot be known must not deny, so the
		// resolver's pods count as matched.
		b.Endpoint.HostNetwork = false
		for _, p := range svc.Ports {
			if p.Protocol == corev1.ProtocolUDP && (b.UDP == 0 || p.Number == 53) {
				b.UDP = p.TargetPort(w)
				r.ServicePort = p.Number
			}
			if p.Protocol == corev1.ProtocolTCP && (p.Number == 53 || strings.Contains(p.Name, "dns")) {
				b.TCP = p.TargetPort(w)
			}
		}
		if b.UDP == 0 {
			continue // the target port's name is nowhere declared: where these pods answer cannot be known
		}
		b.Endpoint.Addresses = n.backends[w.shape]
		out = append(out, b)
	}
	return out
}
