package guardrails

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dependency is a host in a pod's spec that is a Service with pods behind it.
type dependency struct {
	cluster.Reference
	service *cluster.Service
	ports   []cluster.ServicePort // those that the reference means
	pods    []*cluster.Workload   // live ones
}

// target is a place where a dependency answers.
type target struct {
	pod  *cluster.Workload
	port netpol.Port
}

// targets resolves the ports on the pods; one that no pod declares by its name is left out.
func (d *dependency) targets() []target {
	var out []target
	for _, w := range d.pods {
		for _, p := range d.ports {
			if n := p.TargetPort(w); n != 0 {
				out = append(out, target{w, netpol.Port{Protocol: p.Protocol, Number: n}})
			}
		}
	}
	return out
}

// maxConnections bounds the connections that are looked at for one change. The guardrail's documentation tells the number.
const maxConnections = 2000

// dependencies judges connections between pods and the Services that they name.
type dependencies struct {
	c             *policy.Change
	before, after *connectivity.View
	left          int // how many more connections may be looked at
	through       int // how many workloads have been gone through
	podRanges     []netip.Prefix
	sides         map[subjectSide]*policy.Coverage
	holds         map[*netpol.IPBlock]bool               // blocks that may hold pods
	known         map[cluster.NamespacedName]*dependency // by Service, without reference and ports
}

func newDependencies(c *policy.Change) *dependencies {
	x := &dependencies{
		c: c, before: connectivity.NewView(c.Before), after: connectivity.NewView(c.After), left: maxConnections,
		known: map[cluster.NamespacedName]*dependency{}, sides: map[subjectSide]*policy.Coverage{}, holds: map[*netpol.IPBlock]bool{},
	}
	return x
}

// subjectSide is one side of a workload's connections.
type subjectSide struct {
	w *cluster.Workload
	d netpol.Direction
}

// side gives the policies of a workload that isolate it in the direction, remembered.
func (x *dependencies) side(w *cluster.Workload, d netpol.Direction) *policy.Coverage {
	out := x.sides[subjectSide{w, d}]
	if out == nil {
		out = &policy.Coverage{Endpoint: x.c.After.Endpoint(w)}
		for _, p := range x.c.After.Policies(w.Namespace) {
			if p.Isolates[d] && p.Selects(out.Endpoint) {
				out.Policies = append(out.Policies, p)
			}
		}
		x.sides[subjectSide{w, d}] = out
	}
	return out
}

// mayHoldPods reports whether the block has addresses that pods may have, remembered: a large cluster has thousands of ranges.
func (x *dependencies) mayHoldPods(b *netpol.IPBlock) bool {
	if x.podRanges == nil {
		if x.podRanges = x.c.After.Network().PodRanges; len(x.podRanges) == 0 {
			x.podRanges = privateRanges()
		}
	}
	may, known := x.holds[b]
	if !known {
		may = slices.ContainsFunc(x.podRanges, func(r netip.Prefix) bool { return len(held(b, r)) > 0 })
		x.holds[b] = may
	}
	return may
}

// privateRanges are where pods have their addresses unless the nodes say it better. Source: RFC 1918, RFC 4193.
func privateRanges() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("fc00::/7"),
	}
}

// of gives the workload's dependencies that wanted holds for, each once.
func (x *dependencies) of(w *cluster.Workload, wanted func(*cluster.Service) bool) []*dependency {
	var out []*dependency
	for _, use := range w.Uses() {
		for _, r := range use.References {
			d := x.resolve(w, r)
			if d != nil && wanted(d.service) && !slices.ContainsFunc(out, func(o *dependency) bool { return o.Reference == d.Reference }) {
				out = append(out, d)
			}
		}
	}
	return out
}

// resolve gives what a reference of the workload means; nil where that is no Service, or one whose pods are not known. The
// workload's own Service is where others find it.
func (x *dependencies) resolve(w *cluster.Workload, r cluster.Reference) *dependency {
	name, ok := r.Service(w.Namespace)
	if !ok {
		return nil
	}
	base, done := x.known[name]
	if !done {
		base = x.service(name)
		x.known[name] = base
	}
	if base == nil || name.Namespace == w.Namespace && serves(base.service, w) {
		return nil
	}
	out := &dependency{Reference: r, service: base.service, pods: base.pods}
	for _, p := range base.service.Ports {
		if r.Port == 0 || r.Port == p.Number {
			out.ports = append(out.ports, p)
		}
	}
	if len(out.ports) == 0 {
		return nil
	}
	return out
}

// service looks for a Service that is translated to pods of which all is known: it has a selector and an address of its own, and
// none of its pods is on its host's network.
func (x *dependencies) service(name cluster.NamespacedName) *dependency {
	n := x.c.After.Namespace(name.Namespace)
	svc := findService(n, name.Name)
	if svc == nil || svc.Headless || svc.Type == corev1.ServiceTypeExternalName || len(svc.Selector) == 0 {
		return nil
	}
	out := &dependency{service: svc}
	for _, w := range x.c.After.Live(n) {
		if !serves(svc, w) {
			continue
		}
		if w.HostNetwork {
			return nil
		}
		out.pods = append(out.pods, w)
	}
	return out
}

// blocked tells on which side the change ends the last connection between the client, as it was before and is after, and its
// dependency. before is nil for a client that is new: it is blocked where it is from the start.
func (x *dependencies) blocked(before, after *cluster.Workload, d *dependency) (side netpol.Direction, cut bool) {
	targets := d.targets()
	reached := before == nil && len(targets) > 0
	side = netpol.Egress
	for _, t := range targets {
		if x.left--; x.left < 0 {
			return side, false
		}
		if x.after.Side(netpol.Egress, after, t.pod).Contains(t.port) || x.byAddress(netpol.Egress, after, d, t) {
			side = netpol.Ingress
			if x.after.Side(netpol.Ingress, t.pod, after).Contains(t.port) || x.byAddress(netpol.Ingress, t.pod, d, t) {
				return side, false
			}
		}
		reached = reached || x.before.Side(netpol.Egress, before, t.pod).Contains(t.port) &&
			x.before.Side(netpol.Ingress, t.pod, before).Contains(t.port)
	}
	return side, reached
}

// byAddress reports whether a rule of the subject's own policies may let the connection pass by the address of the other end, or
// for egress of the Service: it depends on the plugin whether ipBlocks match pods.
func (x *dependencies) byAddress(direction netpol.Direction, subject *cluster.Workload, d *dependency, t target) bool {
	side := x.side(subject, direction)
	if allowsBlock(side, direction, t.port.Protocol, t.port.Number, x.mayHoldPods) {
		return true
	}
	return direction == netpol.Egress && slices.ContainsFunc(d.ports, func(p cluster.ServicePort) bool {
		return allowsBlock(side, direction, p.Protocol, p.Number, func(b *netpol.IPBlock) bool {
			return slices.ContainsFunc(d.service.ClusterIPs, b.Contains)
		})
	})
}

// written gives the reference as people wrote it: "env REDIS_ADDR=cache:6379".
func (d *dependency) written() string {
	host := d.Host
	if d.Port != 0 {
		host = fmt.Sprintf("%s:%d", host, d.Port)
	}
	if d.Source == "argument" {
		return d.Source + " " + host
	}
	return d.Source + "=" + host
}

// place names where the dependency answers as far as a message may tell: "app=cache:6379", or as it is written.
func (d *dependency) place(c *policy.Change) string {
	targets := d.targets()
	if !c.MayName(d.service.Namespace) || len(targets) == 0 {
		return d.Host
	}
	where := targets[0].pod.Label()
	if d.service.Namespace != c.Namespace {
		where = d.service.Namespace + "/" + where
	}
	return fmt.Sprintf("%s:%d", where, targets[0].port.Number)
}
