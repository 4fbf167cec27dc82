package connectivity

import (
	"net/netip"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// View reads one snapshot and remembers what it has worked out about it. It is not safe for concurrent use.
type View struct {
	s      *cluster.Snapshot
	shared *shared
	spaces []space        // as the snapshot lists them
	index  map[string]int // namespace to place in spaces
	chosen map[*netpol.Selector]map[string]bool
	ports  map[*netpol.PortMatch]Ports
}

// shared is what views of one snapshot have in common. It never changes.
type shared struct {
	addresses  func(*cluster.Workload) []netip.Addr
	namespaces []*cluster.Namespace
	coverage   []*cluster.Coverage
	policies   bool // of tiers, or ipBlocks that match pods: every pair is asked about by itself
}

// space is one namespace as a view reads it.
type space struct {
	n        *cluster.Namespace
	coverage *cluster.Coverage
	// foreign are by direction the rules that can match pods of the namespace that foreignTo names.
	foreign   [2][]cluster.RuleRef
	foreignTo [2]string
}

// NewView makes a view of the live workloads that s holds.
func NewView(s *cluster.Snapshot) *View { return newView(s, share(s, Options{}, false)) }

// share prepares what all views of s need. With templates, a pod template without live pods counts as a workload.
func share(s *cluster.Snapshot, o Options, templates bool) *shared {
	out := &shared{addresses: o.Addresses, policies: s.Tiers() != nil || o.Addresses != nil}
	for n := range s.All() {
		c := s.Coverage(n)
		if templates {
			if more := idle(n, c); len(more) > 0 {
				workloads := make([]*cluster.Workload, 0, len(c.Workloads)+len(more))
				for i := range c.Workloads {
					workloads = append(workloads, c.Workloads[i].Workload)
				}
				c = cluster.Cover(n.Policies, append(workloads, more...))
			}
		}
		out.namespaces, out.coverage = append(out.namespaces, n), append(out.coverage, c)
	}
	return out
}

// idle lists the templates of n that have no live pod.
func idle(n *cluster.Namespace, c *cluster.Coverage) []*cluster.Workload {
	if len(n.Templates) == 0 {
		return nil
	}
	running := map[cluster.Owner]bool{}
	for i := range c.Workloads {
		for _, o := range c.Workloads[i].Owners() {
			running[cluster.Owner{Kind: o.Kind, Name: o.Name}] = true
		}
	}
	var out []*cluster.Workload
	for _, t := range n.Templates {
		if !running[cluster.Owner{Kind: t.Kind, Name: t.Name}] {
			out = append(out, t)
		}
	}
	return out
}

func newView(s *cluster.Snapshot, sh *shared) *View {
	v := &View{
		s: s, shared: sh, spaces: make([]space, len(sh.namespaces)), index: make(map[string]int, len(sh.namespaces)),
		chosen: map[*netpol.Selector]map[string]bool{}, ports: map[*netpol.PortMatch]Ports{},
	}
	for i, n := range sh.namespaces {
		v.spaces[i] = space{n: n, coverage: sh.coverage[i]}
		v.index[n.Name] = i
	}
	return v
}

// endpoint gives a workload as policies see it.
func (v *View) endpoint(w *cluster.Workload) netpol.Endpoint {
	e := v.s.Endpoint(w)
	if v.shared.addresses != nil {
		e.Addresses = v.shared.addresses(w)
	}
	return e
}

// chooses reports whether sel selects the namespace.
func (v *View) chooses(sel *netpol.Selector, n *cluster.Namespace) bool {
	if sel.Everything() {
		return true
	}
	if !n.Known {
		return sel.Matches(v.s.NamespaceLabels(n.Name))
	}
	names, done := v.chosen[sel]
	if !done {
		names = map[string]bool{}
		for selected := range v.s.SelectNamespaces(*sel) {
			names[selected.Name] = true
		}
		v.chosen[sel] = names
	}
	return names[n.Name]
}

// fixed gives the ports of a rule that names none, and whether it names any, which depend on the destination.
func (v *View) fixed(items []netpol.PortMatch) (ports Ports, named bool) {
	if len(items) == 0 {
		return allPorts, false
	}
	for i := range items {
		named = named || items[i].Name != ""
	}
	ports, done := v.ports[&items[0]]
	if !done {
		ports = resolve(items, nil)
		v.ports[&items[0]] = ports
	}
	return ports, named
}

// towards gives the rules of a namespace that can match pods of the other one in direction d.
func (v *View) towards(at *space, d netpol.Direction, other string) []cluster.RuleRef {
	if at.foreignTo[d] == other {
		return at.foreign[d]
	}
	at.foreignTo[d], at.foreign[d] = other, at.foreign[d][:0]
	labels := v.s.NamespaceLabels(other)
	for _, ref := range at.coverage.Foreign[d] {
		if mayMatch(ref.Rule, at.n.Name, other, netpol.Endpoint{NamespaceLabels: labels}) {
			at.foreign[d] = append(at.foreign[d], ref)
		}
	}
	return at.foreign[d]
}

// mayMatch reports whether some peer of the rule looks for pods in the namespace other.
func mayMatch(r *netpol.Rule, own, other string, e netpol.Endpoint) bool {
	if len(r.Peers) == 0 {
		return true
	}
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Block == nil && p.MatchesNamespace(own, other, e) {
			return true
		}
	}
	return false
}

// Side gives the ports that the subject's own side allows in direction d between itself and the peer, whatever the peer
// says about it.
func (v *View) Side(d netpol.Direction, subject, peer *cluster.Workload) Ports {
	return v.nearOf(subject, d).allows(v.endpoint(peer))
}
