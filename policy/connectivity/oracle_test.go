package connectivity_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// world is a cluster as its plain objects. What the package should say about it is asked pod by pod and port by port.
type world struct {
	names      []string              // of the namespaces
	namespaces map[string]labels.Set // whose Namespace objects are known
	pods       []*podSpec
	templates  []*templateSpec
	policies   []*networkingv1.NetworkPolicy
	tiers      []*v1alpha2.ClusterNetworkPolicy
	addresses  bool // ipBlocks match pods
}

func (w *world) clone() *world {
	out := *w
	out.namespaces = maps.Clone(w.namespaces)
	out.pods, out.templates = slices.Clone(w.pods), slices.Clone(w.templates)
	out.policies, out.tiers = slices.Clone(w.policies), slices.Clone(w.tiers)
	return &out
}

// String writes the world for a failure message.
func (w *world) String() string {
	var b strings.Builder
	for _, name := range w.names {
		l, known := w.namespaces[name]
		fmt.Fprintf(&b, "namespace %s known %v labels %v\n", name, known, l)
	}
	for _, p := range w.pods {
		fmt.Fprintf(&b, "pod %+v\n", *p)
	}
	for _, x := range w.templates {
		fmt.Fprintf(&b, "template %+v\n", *x)
	}
	fmt.Fprintf(&b, "ipBlocks match pods: %v\n", w.addresses)
	for _, p := range w.policies {
		b.WriteString(printYAML(p))
	}
	for _, p := range w.tiers {
		b.WriteString(printYAML(p))
	}
	return b.String()
}

func printYAML(v any) string {
	out, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v (no YAML: %v)\n", v, err)
	}
	return "---\n" + string(out)
}

// snapshot builds the cluster from the objects in the order in which they are listed, or in a random one.
func (w *world) snapshot(d *draw) *cluster.Snapshot {
	b := cluster.NewBuilder(cluster.Options{})
	var steps []func()
	for _, name := range w.names {
		if l, known := w.namespaces[name]; known {
			steps = append(steps, func() { b.SetNamespace(namespaceObject(name, l)) })
		}
	}
	for _, p := range w.pods {
		steps = append(steps, func() { b.SetPod(cluster.PodOf(p.object())) })
	}
	for _, x := range w.templates {
		t, _ := cluster.TemplateOf(x.object())
		steps = append(steps, func() { b.SetTemplate(t) })
	}
	policies, tiers := w.compiled()
	for _, p := range policies {
		steps = append(steps, func() { b.SetPolicy(p) })
	}
	for _, p := range tiers {
		steps = append(steps, func() { b.SetTierPolicy(p) })
	}
	if d != nil {
		mix(*d, steps)
	}
	for _, step := range steps {
		step()
	}
	return b.Snapshot()
}

func (w *world) compiled() ([]*netpol.Policy, []*netpol.TierPolicy) {
	var policies []*netpol.Policy
	for _, np := range w.policies {
		p, err := netpol.Compile(np)
		if err != nil {
			panic(fmt.Sprintf("the random policies are valid: %v", err))
		}
		policies = append(policies, p)
	}
	var tiers []*netpol.TierPolicy
	for _, cnp := range w.tiers {
		p, err := netpol.CompileClusterNetworkPolicy(cnp)
		if err != nil {
			panic(fmt.Sprintf("the random policies are valid: %v", err))
		}
		tiers = append(tiers, p)
	}
	return policies, tiers
}

func (w *world) options() connectivity.Options {
	if !w.addresses {
		return connectivity.Options{}
	}
	return connectivity.Options{Addresses: func(x *cluster.Workload) []netip.Addr { return addressesOf(x.Labels) }}
}

// addressesOf gives pods addresses that depend on their labels, so that pods that look alike have the same.
func addressesOf(l labels.Set) []netip.Addr {
	switch l["app"] {
	case "a":
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	case "b":
		return []netip.Addr{netip.MustParseAddr("10.128.0.1")}
	}
	return []netip.Addr{netip.MustParseAddr("fd00::2")}
}

// oracle asks the semantics about single pods.
type oracle struct {
	policies []*netpol.Policy
	tiers    *netpol.Tiers
	ends     map[string][]netpol.Endpoint // the pods of each node
}

func (w *world) oracle() *oracle {
	policies, tiers := w.compiled()
	o := &oracle{policies: policies, tiers: netpol.NewTiers(tiers), ends: map[string][]netpol.Endpoint{}}
	for _, p := range w.pods {
		if !p.finished {
			o.ends[p.ownerKey()] = append(o.ends[p.ownerKey()], w.endpoint(p.namespace, p.labels, p.ports, p.host))
		}
	}
	running := maps.Clone(o.ends)
	for _, x := range w.templates {
		if running[x.ownerKey()] == nil {
			o.ends[x.ownerKey()] = append(o.ends[x.ownerKey()], w.endpoint(x.namespace, x.labels, x.ports, x.host))
		}
	}
	return o
}

func (w *world) endpoint(namespace string, l labels.Set, ports []netpol.ContainerPort, host bool) netpol.Endpoint {
	e := netpol.Endpoint{Namespace: namespace, Labels: l, Ports: ports, HostNetwork: host}
	e.NamespaceLabels = labels.Merge(w.namespaces[namespace], labels.Set{corev1.LabelMetadataName: namespace})
	if w.addresses {
		e.Addresses = addressesOf(l)
	}
	return e
}

// reaches reports whether some pod of one node may open a connection to some pod of the other.
func (o *oracle) reaches(from, to string, port netpol.Port) bool {
	for _, x := range o.ends[from] {
		for _, y := range o.ends[to] {
			if o.connects(x, y, port) {
				return true
			}
		}
	}
	return false
}

// leaves reports whether some pod of the node may open a connection to the address, enters the reverse.
func (o *oracle) leaves(from string, to netip.Addr, port netpol.Port) bool {
	return slices.ContainsFunc(o.ends[from], func(e netpol.Endpoint) bool {
		return o.connects(e, netpol.Endpoint{Addresses: []netip.Addr{to}}, port)
	})
}

func (o *oracle) enters(to string, from netip.Addr, port netpol.Port) bool {
	return slices.ContainsFunc(o.ends[to], func(e netpol.Endpoint) bool {
		return o.connects(netpol.Endpoint{Addresses: []netip.Addr{from}}, e, port)
	})
}

func (o *oracle) connects(from, to netpol.Endpoint, port netpol.Port) bool {
	return o.tiers.Connects(from, to, port, o.policies, o.policies)
}

// probePorts are both sides of every boundary that the random policies can draw, in all protocols.
func probePorts() []netpol.Port {
	var out []netpol.Port
	for _, n := range []uint16{1, 2, 3, 27, 28, 29, 52, 53, 54, 55, 79, 80, 81, 82, 107, 108, 443, 8079, 8080, 8081, 65534, 65535} {
		for _, p := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
			out = append(out, netpol.Port{Protocol: p, Number: n})
		}
	}
	return out
}

// probes draws some of the ports, other ones each time.
func (d draw) probes(n int) []netpol.Port {
	all := probePorts()
	mix(d, all)
	return all[:n]
}

// probeAddresses are the addresses on both sides of where a block of the world's policies begins or ends.
func (w *world) probeAddresses() []netip.Addr {
	at := map[netip.Addr]bool{}
	add := func(cidr string) {
		p := netip.MustParsePrefix(cidr)
		first, last := p.Addr(), lastOf(p)
		for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if a.IsValid() && !a.Is4In6() { // an IPv4-mapped address is another spelling of an IPv4 one
				at[a] = true
			}
		}
	}
	add("0.0.0.0/0")
	add("::/0")
	peers := func(list []networkingv1.NetworkPolicyPeer) {
		for _, p := range list {
			if p.IPBlock != nil {
				add(p.IPBlock.CIDR)
				for _, x := range p.IPBlock.Except {
					add(x)
				}
			}
		}
	}
	for _, np := range w.policies {
		for _, r := range np.Spec.Ingress {
			peers(r.From)
		}
		for _, r := range np.Spec.Egress {
			peers(r.To)
		}
	}
	for _, cnp := range w.tiers {
		for _, r := range cnp.Spec.Egress {
			for _, p := range r.To {
				for _, cidr := range p.Networks {
					add(string(cidr))
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(at), netip.Addr.Compare)
}

// lastOf sets the bits after the prefix one by one.
func lastOf(p netip.Prefix) netip.Addr {
	octets := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(octets)*8; bit++ {
		octets[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(octets)
	return a
}
