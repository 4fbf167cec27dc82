package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// sample is a small model of a cluster: who is isolated, and which rules allow what. It exists so that the pictures of
// the tests do not depend on the engine.
type sample struct {
	nodes   []*connectivity.Node
	ranges  []connectivity.Range
	rules   []rule
	partial []string
}

// rule lets from open connections to to on both sides; both are patterns such as "shop/*", or one of a range.
type rule struct {
	from, to string
	ports    connectivity.Ports
}

var wholeSpace = []connectivity.Range{
	span("0.0.0.0", "255.255.255.255"), span("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
}

func span(first, last string) connectivity.Range {
	return connectivity.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

// node adds a workload; isolated holds "i" for ingress and "e" for egress.
func (s *sample) node(name, kind string, pods int, isolated string) *connectivity.Node {
	ns, name, _ := strings.Cut(name, "/")
	n := &connectivity.Node{Namespace: ns, Kind: kind, Name: name, Pods: pods}
	n.Isolated[netpol.Ingress] = strings.Contains(isolated, "i")
	n.Isolated[netpol.Egress] = strings.Contains(isolated, "e")
	s.nodes = append(s.nodes, n)
	return n
}

func (s *sample) allow(from, to string, ports connectivity.Ports) {
	s.rules = append(s.rules, rule{from, to, ports})
}

func tcp(numbers ...uint16) connectivity.Ports { return numbered(corev1.ProtocolTCP, numbers...) }
func udp(numbers ...uint16) connectivity.Ports { return numbered(corev1.ProtocolUDP, numbers...) }

func numbered(protocol corev1.Protocol, numbers ...uint16) connectivity.Ports {
	var ranges []connectivity.PortRange
	for _, n := range numbers {
		ranges = append(ranges, connectivity.PortRange{Protocol: protocol, First: n, Last: n})
	}
	return connectivity.PortsOf(ranges...)
}

// graph works the sample out.
func (s *sample) graph() *connectivity.Graph {
	slices.SortFunc(s.nodes, func(a, b *connectivity.Node) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	var ends []connectivity.Endpoint
	for _, n := range s.nodes {
		ends = append(ends, connectivity.Endpoint{Node: n})
	}
	for _, r := range s.ranges {
		ends = append(ends, connectivity.Endpoint{Range: r})
	}
	edges := func(yield func(connectivity.Edge) bool) {
		for i, from := range ends {
			for j, to := range ends {
				if i == j || from.Node == nil && to.Node == nil {
					continue
				}
				if p := s.ports(from, to); !p.Empty() && !yield(connectivity.Edge{From: from, To: to, Ports: p}) {
					return
				}
			}
		}
	}
	return &connectivity.Graph{Nodes: s.nodes, Edges: edges, Partial: s.partial}
}

func (s *sample) ports(from, to connectivity.Endpoint) connectivity.Ports {
	decided := from.Node != nil && from.Node.Isolated[netpol.Egress] || to.Node != nil && to.Node.Isolated[netpol.Ingress]
	if !decided {
		return connectivity.AllPorts()
	}
	var ports connectivity.Ports
	for _, r := range s.rules {
		if matches(r.from, from) && matches(r.to, to) {
			ports = ports.Union(r.ports)
		}
	}
	return ports
}

func matches(pattern string, e connectivity.Endpoint) bool {
	ok, _ := path.Match(pattern, e.String())
	return ok
}

// shop is the cluster of the demo: an isolated shop behind an ingress controller, in a cluster that is otherwise open.
func shop() *sample {
	s := &sample{ranges: wholeSpace}
	s.node("shop/web", "Deployment", 3, "ie")
	s.node("shop/api", "Deployment", 4, "ie")
	s.node("shop/worker", "Deployment", 2, "ie")
	s.node("shop/postgres", "StatefulSet", 2, "ie")
	s.node("shop/redis", "StatefulSet", 1, "i")
	s.node("shop/batch", "CronJob", 0, "ie")
	s.node("ingress-nginx/controller", "Deployment", 2, "i")
	s.node("kube-system/kube-dns", "Deployment", 2, "")
	s.node("kube-system/node-exporter", "DaemonSet", 5, "").HostNetwork = true
	s.allow("*-*", "ingress-nginx/controller", tcp(80, 443))
	s.allow("ingress-nginx/controller", "shop/web", tcp(8080))
	s.allow("shop/web", "shop/api", tcp(8080))
	s.allow("shop/api", "shop/postgres", tcp(5432))
	s.allow("shop/worker", "shop/postgres", tcp(5432))
	s.allow("shop/api", "shop/redis", tcp(6379))
	s.allow("shop/worker", "shop/redis", tcp(6379))
	s.allow("shop/batch", "shop/postgres", tcp(5432))
	s.allow("shop/*", "kube-system/kube-dns", udp(53).Union(tcp(53)))
	s.allow("shop/api", "*-*", tcp(443))
	return s
}

// shopDifference closes redis, opens the api to batch, replaces a workload, and cuts the api off from outside.
func shopDifference() (*connectivity.Difference, *connectivity.Graph) {
	before, after := shop(), shop()
	after.nodes = slices.DeleteFunc(after.nodes, func(n *connectivity.Node) bool { return n.Name == "worker" })
	after.node("shop/mailer", "Deployment", 1, "ie")
	after.rules = slices.DeleteFunc(after.rules, func(r rule) bool {
		return r.from == "shop/api" && r.to == "*-*" || r.from == "shop/web" || r.to == "shop/redis"
	})
	after.allow("shop/web", "shop/api", tcp(8080))
	after.allow("shop/batch", "shop/api", tcp(8080))
	after.allow("shop/mailer", "shop/postgres", tcp(5432))
	return difference(before.graph(), after.graph()), after.graph()
}

// difference is the slow, obvious comparison of two graphs.
func difference(before, after *connectivity.Graph) *connectivity.Difference {
	d := &connectivity.Difference{}
	nodes := map[string]*connectivity.Node{}
	was, is := edgesByName(before, nodes), edgesByName(after, nodes)
	d.Nodes = sortedNodes(nodes)
	d.Removed = missing(before.Nodes, after.Nodes)
	d.Added = missing(after.Nodes, before.Nodes)
	d.Cut = minus(before, is)
	d.Opened = minus(after, was)
	for name, ports := range was {
		if !is[name].Intersect(ports).Empty() {
			d.Unchanged++
		}
	}
	return d
}

func edgesByName(g *connectivity.Graph, nodes map[string]*connectivity.Node) map[string]connectivity.Ports {
	for _, n := range g.Nodes {
		nodes[n.String()] = n
	}
	out := map[string]connectivity.Ports{}
	for e := range g.Edges {
		out[e.From.String()+" "+e.To.String()] = e.Ports
	}
	return out
}

func sortedNodes(nodes map[string]*connectivity.Node) []*connectivity.Node {
	s := &sample{}
	for _, n := range nodes {
		s.nodes = append(s.nodes, n)
	}
	return s.graph().Nodes
}

func missing(here, there []*connectivity.Node) []*connectivity.Node {
	return slices.DeleteFunc(slices.Clone(here), func(n *connectivity.Node) bool {
		return slices.ContainsFunc(there, func(m *connectivity.Node) bool { return m.String() == n.String() })
	})
}

func minus(g *connectivity.Graph, other map[string]connectivity.Ports) []connectivity.Edge {
	var out []connectivity.Edge
	for e := range g.Edges {
		if e.Ports = e.Ports.Minus(other[e.From.String()+" "+e.To.String()]); !e.Ports.Empty() {
			out = append(out, e)
		}
	}
	return out
}

// everythingOpen is a cluster without a single policy.
func everythingOpen(namespaces, each int) *sample {
	s := &sample{ranges: wholeSpace}
	for i := range namespaces {
		for j := range each {
			s.node(fmt.Sprintf("team-%02d/service-%02d", i, j), "Deployment", 1+(i+j)%3, "")
		}
	}
	return s
}
