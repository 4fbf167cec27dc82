package connectivity

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/labels"

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
	asked         int     // how many workloads have been asked about
	grants        []grant // of the far side at hand
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
	// picked are the places of the workloads that a podSelector selects.
	picked map[*picker][]int32
}

// peerRule is what is left of a rule towards the pods of one namespace.
type peerRule struct {
	policy   int32 // its policy's place in the coverage
	rule     *netpol.Rule
	everyone bool      // it has no peers, so it matches what selectors cannot, too
	pods     []*picker // combined by OR; nil is all pods
}

// foreignRule is a rule with its peers in other namespaces.
type foreignRule struct {
	policy   int32
	rule     *netpol.Rule
	everyone bool
	peers    []foreignPeer
}

// foreignPeer is one of them: pods of some namespaces, nil for all of either.
type foreignPeer struct {
	namespaces *selection
	pods       *picker
}

// picker is a podSelector, and what it says about the workload that was asked about last.
type picker struct {
	sel    *netpol.Selector
	asked  int
	answer bool
}

// selection is what a namespaceSelector selects.
type selection struct {
	names map[string]bool
	list  []*cluster.Namespace // sorted by name
	// asked is the namespace that was asked about last.
	asked  string
	answer bool
}

// has reports whether the namespace is selected.
func (s *selection) has(namespace string) bool {
	if s == nil {
		return true
	}
	if s.asked != namespace {
		s.asked, s.answer = namespace, s.names[namespace]
	}
	return s.answer
}

// NewView makes a view of the live workloads that s holds.
func NewView(s *cluster.Snapshot) *View { return newView(s, &shared{oneByOne: s.Tiers() != nil}) }

func newView(s *cluster.Snapshot, sh *shared) *View {
	return &View{
		s: s, shared: sh, spaces: map[string]*space{}, ports: map[*netpol.PortMatch]Ports{},
		chosen: map[*netpol.Selector]*selection{}, chosenByText: map[string]*selection{},
		pickers: map[*netpol.Selector]*picker{}, pickersByText: map[string]*picker{},
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

// chooses reports whether sel selects the namespace.
func (v *View) chooses(sel *netpol.Selector, n *cluster.Namespace) bool {
	return sel.Everything() || v.selection(sel).names[n.Name]
}

// selection gives the namespaces that sel selects.
func (v *View) selection(sel *netpol.Selector) *selection {
	x := v.chosen[sel]
	if x != nil {
		return x
	}
	text := sel.String()
	if x = v.chosenByText[text]; x == nil {
		x = &selection{names: map[string]bool{}}
		for n := range v.s.SelectNamespaces(*sel) {
			x.names[n.Name], x.list = true, append(x.list, n)
		}
		v.chosenByText[text] = x
	}
	v.chosen[sel] = x
	return x
}

// picker gives what is remembered about a podSelector, nil for one that selects all pods.
func (v *View) picker(sel *netpol.Selector) *picker {
	if sel == nil || sel.Everything() {
		return nil
	}
	x := v.pickers[sel]
	if x != nil {
		return x
	}
	text := sel.String()
	if x = v.pickersByText[text]; x == nil {
		x = &picker{sel: sel}
		v.pickersByText[text] = x
	}
	v.pickers[sel] = x
	return x
}

// picks reports whether the selector selects the workload that is asked about, whose labels are given.
func (p *picker) picks(asked int, l labels.Set) bool {
	if p == nil {
		return true
	}
	if p.asked != asked {
		p.asked, p.answer = asked, p.sel.Matches(l)
	}
	return p.answer
}

// pick gives the places of the namespace's workloads that the selector selects.
func (x *space) pick(p *picker) []int32 {
	places, done := x.picked[p]
	if !done {
		for i := range x.coverage.Workloads {
			if w := &x.coverage.Workloads[i]; !w.HostNetwork && (p == nil || p.sel.Matches(w.Labels)) {
				places = append(places, int32(i))
			}
		}
		if x.picked == nil {
			x.picked = map[*picker][]int32{}
		}
		x.picked[p] = places
	}
	return places
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
func (v *View) towards(at *space, d netpol.Direction, other string) []peerRule {
	if at.towardsTo[d] == other {
		return at.towards[d]
	}
	at.towardsTo[d], at.towards[d] = other, at.towards[d][:0]
	if other == at.n.Name {
		v.within(at, d)
		return at.towards[d]
	}
	for i := range v.foreign(at, d) {
		r := &at.foreign[d][i]
		p := peerRule{policy: r.policy, rule: r.rule, everyone: r.everyone}
		for _, peer := range r.peers {
			if peer.namespaces.has(other) {
				p.pods = append(p.pods, peer.pods)
			}
		}
		if p.everyone || len(p.pods) > 0 {
			at.towards[d] = append(at.towards[d], p)
		}
	}
	return at.towards[d]
}

// within is towards for the namespace's own pods.
func (v *View) within(at *space, d netpol.Direction) {
	e := netpol.Endpoint{NamespaceLabels: v.s.NamespaceLabels(at.n.Name)}
	for i, policy := range at.coverage.Policies {
		if !policy.Isolates[d] {
			continue
		}
		for j := range policy.Rules[d] {
			r := &policy.Rules[d][j]
			p := peerRule{policy: int32(i), rule: r, everyone: len(r.Peers) == 0}
			for k := range r.Peers {
				if peer := &r.Peers[k]; peer.Block == nil && peer.MatchesNamespace(at.n.Name, at.n.Name, e) {
					p.pods = append(p.pods, v.picker(peer.Pods))
				}
			}
			if p.everyone || len(p.pods) > 0 {
				at.towards[d] = append(at.towards[d], p)
			}
		}
	}
}

// foreign gives the rules of a namespace that can match pods of others.
func (v *View) foreign(at *space, d netpol.Direction) []foreignRule {
	if at.foreign[d] != nil || len(at.coverage.Foreign[d]) == 0 {
		return at.foreign[d]
	}
	for _, ref := range at.coverage.Foreign[d] {
		r := foreignRule{policy: ref.Policy, rule: ref.Rule, everyone: len(ref.Rule.Peers) == 0}
		for i := range ref.Rule.Peers {
			peer := &ref.Rule.Peers[i]
			switch {
			case peer.Namespaces == nil: // an ipBlock, or pods of its own namespace
			case peer.Namespaces.Everything():
				r.peers = append(r.peers, foreignPeer{nil, v.picker(peer.Pods)})
			default:
				r.peers = append(r.peers, foreignPeer{v.selection(peer.Namespaces), v.picker(peer.Pods)})
			}
		}
		at.foreign[d] = append(at.foreign[d], r)
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
