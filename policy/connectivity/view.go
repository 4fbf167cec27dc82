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
	spaces map[string]*space // by namespace, as far as they were needed
	ports  map[*netpol.PortMatch]Ports
	// Selectors that are written alike share what they select.
	chosen        map[*netpol.Selector]*selection
	chosenByText  map[string]*selection
	pickers       map[*netpol.Selector]*picker
	pickersByText map[string]*picker
	sides         [2]map[*cluster.Workload]*near // by direction, of those that Side was asked about
	asked         int                            // how many workloads have been asked about
	grants        []grant                        // of the far side at hand
}

// shared is what views of one snapshot have in common. It never changes.
type shared struct {
	addresses func(*cluster.Workload) []netip.Addr
	// oneByOne says that namespaces cannot be judged as a whole: there are tiers, or ipBlocks match pods.
	oneByOne bool
	// coverage by namespace, where it is not the snapshot's own.
	coverage map[string]*cluster.Coverage
}

// space is one namespace as a view reads it.
type space struct {
	n        *cluster.Namespace
	coverage *cluster.Coverage
	// foreign are by direction the rules that can match pods of other namespaces; made when they are needed.
	foreign [2][]foreignRule
	// towards are by direction the rules that can match pods of the namespace that towardsTo names.
	towards   [2][]peerRule
	towardsTo [2]string
	next      int // where View.nearIn looks first
	// picked are the places of the workloads that a podSelector selects.
	picked map[*picker][]int32
}

// NewView makes a view of the live workloads that s holds.
func NewView(s *cluster.Snapshot) *View { return newView(s, &shared{oneByOne: s.Tiers() != nil}) }

func newView(s *cluster.Snapshot, sh *shared) *View {
	return &View{
		s: s, shared: sh, spaces: map[string]*space{}, ports: map[*netpol.PortMatch]Ports{},
		chosen: map[*netpol.Selector]*selection{}, chosenByText: map[string]*selection{},
		pickers: map[*netpol.Selector]*picker{}, pickersByText: map[string]*picker{},
		sides: [2]map[*cluster.Workload]*near{{}, {}},
	}
}

// space gives a namespace as the view reads it.
func (v *View) space(n *cluster.Namespace) *space {
	x := v.spaces[n.Name]
	if x == nil {
		x = &space{n: n, coverage: v.shared.coverage[n.Name]}
		if x.coverage == nil {
			x.coverage = v.s.Coverage(n)
		}
		v.spaces[n.Name] = x
	}
	return x
}

// withTemplates gives the coverage of n with the templates that have no live pod among its workloads.
func withTemplates(s *cluster.Snapshot, n *cluster.Namespace) *cluster.Coverage {
	c := s.Coverage(n)
	more := idle(n, c)
	if len(more) == 0 {
		return c
	}
	workloads := make([]*cluster.Workload, 0, len(c.Workloads)+len(more))
	for i := range c.Workloads {
		workloads = append(workloads, c.Workloads[i].Workload)
	}
	return cluster.Cover(n.Policies, append(workloads, more...))
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

// endpoint gives a workload as policies see it.
func (v *View) endpoint(w *cluster.Workload) netpol.Endpoint {
	e := v.s.Endpoint(w)
	if v.shared.addresses != nil {
		e.Addresses = v.shared.addresses(w)
	}
	return e
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

// Side gives the ports that the subject's own side allows in direction d between itself and the peer, whatever the peer
// says about it.
func (v *View) Side(d netpol.Direction, subject, peer *cluster.Workload) Ports {
	n := v.sides[d][subject]
	if n == nil {
		if subject.Template {
			n = v.nearOf(subject, d)
		} else {
			n = v.nearIn(subject, d)
		}
		v.sides[d][subject] = n
	}
	return n.allows(v.endpoint(peer))
}
