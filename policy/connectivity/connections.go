package connectivity

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Options say what the snapshot does not, and observe the work.
type Options struct {
	// Progress is told how many of the sources are done; nil is nobody.
	Progress func(done, total int)
	// Addresses gives the addresses of a workload's pods. Where it is set, ipBlock peers match pods as well; nil is that
	// they match nothing in the cluster.
	Addresses func(*cluster.Workload) []netip.Addr
}

// Nodes gives the owners of pods in the cluster, sorted: those of live pods, and pod templates that have none.
func Nodes(s *cluster.Snapshot) []*Node { return newAtlas(s, Options{}).nodes }

// Connections works out who can reach whom in the cluster that s shows. The work is done while the edges are ranged
// over, a source at a time, so that memory does not grow with their number. Where ctx ends first, the edges end too, and
// the graph's Partial then says how far they got.
func Connections(ctx context.Context, s *cluster.Snapshot, o Options) *Graph {
	a := newAtlas(s, o)
	g := &Graph{Nodes: a.nodes}
	g.Edges = func(yield func(Edge) bool) {
		g.Partial = nil
		done := 0
		for row := range a.rows(ctx) {
			for _, e := range row.edges(a.nodes) {
				if !yield(e) {
					return
				}
			}
			if done++; o.Progress != nil {
				o.Progress(done, len(a.nodes))
			}
		}
		if ctx.Err() != nil {
			g.Partial = append(g.Partial, fmt.Sprintf("stopped after the first %d of %d sources: %v", done, len(a.nodes), context.Cause(ctx)))
			return
		}
		for _, e := range a.entrances() {
			if !yield(e) {
				return
			}
		}
	}
	return g
}

// atlas numbers the workloads of a snapshot and their owners.
type atlas struct {
	s          *cluster.Snapshot
	shared     *shared
	namespaces []*cluster.Namespace
	nodes      []*Node
	workloads  [][]place   // by node
	owners     [][][]int32 // by namespace and workload: the nodes
}

// place is where a workload is: its namespace's and its own number.
type place struct{ space, workload int }

func newAtlas(s *cluster.Snapshot, o Options) *atlas {
	a := &atlas{s: s, shared: &shared{
		addresses: o.Addresses, oneByOne: s.Tiers() != nil || o.Addresses != nil, coverage: map[string]*cluster.Coverage{},
	}}
	for n := range s.All() {
		c := withTemplates(s, n)
		if len(c.Workloads) == 0 {
			continue
		}
		a.shared.coverage[n.Name] = c
		a.number(n, c)
	}
	return a
}

// number adds the nodes of a namespace.
func (a *atlas) number(n *cluster.Namespace, c *cluster.Coverage) {
	made := map[cluster.Owner]*Node{}
	where := map[*Node][]place{}
	for i := range c.Workloads {
		w := &c.Workloads[i]
		for _, owner := range w.Owners() {
			key := cluster.Owner{Kind: owner.Kind, Name: owner.Name}
			node := made[key]
			if node == nil {
				node = &Node{Namespace: n.Name, Kind: owner.Kind, Name: owner.Name, Isolated: [2]bool{true, true}, HostNetwork: true}
				made[key] = node
			}
			node.Pods += owner.Pods
			node.Workloads = append(node.Workloads, w.Workload)
			node.HostNetwork = node.HostNetwork && w.HostNetwork
			for d := range node.Isolated {
				node.Isolated[d] = node.Isolated[d] && w.Isolated[d]
			}
			where[node] = append(where[node], place{len(a.namespaces), i})
		}
	}
	owners := make([][]int32, len(c.Workloads))
	for _, node := range slices.SortedFunc(maps.Values(made), compareNodes) {
		for _, at := range where[node] {
			owners[at.workload] = append(owners[at.workload], int32(len(a.nodes)))
		}
		a.nodes, a.workloads = append(a.nodes, node), append(a.workloads, where[node])
	}
	a.namespaces, a.owners = append(a.namespaces, n), append(a.owners, owners)
}

func (a *atlas) view() *View { return newView(a.s, a.shared) }

// covered gives the workload at a place together with its namespace's coverage.
func (a *atlas) covered(at place) (*cluster.Covered, *cluster.Coverage) {
	c := a.shared.coverage[a.namespaces[at.space].Name]
	return &c.Workloads[at.workload], c
}

// target is one node that a source reaches.
type target struct {
	node  int32
	ports Ports
}

// row is what one node may open, or who may open what to it.
type row struct {
	node    int32
	targets []target
	outside []Reach
}

func (r *row) edges(nodes []*Node) []Edge {
	out := make([]Edge, 0, len(r.targets)+len(r.outside))
	from := Endpoint{Node: nodes[r.node]}
	for _, t := range r.targets {
		out = append(out, Edge{from, Endpoint{Node: nodes[t.node]}, t.ports})
	}
	for _, reach := range r.outside {
		out = append(out, Edge{from, Endpoint{Range: reach.Range}, reach.Ports})
	}
	return out
}

// surveyor works out rows; each goroutine has its own.
type surveyor struct {
	*atlas
	v          *View
	spaces     []*space
	everywhere []int // all places in spaces

	sum     []Ports // by node, empty between rows
	reached []int32 // nodes with a sum
	own     []Ports // by workload of a namespace, empty between namespaces
	places  []int32 // workloads with something of their own
}

func (a *atlas) surveyor() *surveyor {
	s := &surveyor{atlas: a, v: a.view(), sum: make([]Ports, len(a.nodes))}
	for i, n := range a.namespaces {
		s.spaces, s.everywhere = append(s.spaces, s.v.space(n)), append(s.everywhere, i)
	}
	return s
}

// row works out what a node may open, or with Ingress who may open what to it: what any of its workloads may.
func (s *surveyor) row(node int32, d netpol.Direction) *row {
	out := &row{node: node}
	s.reached = s.reached[:0]
	for _, at := range s.workloads[node] {
		x, c := s.covered(at)
		side := s.v.near(x, c, d)
		reach, _ := side.outside(noLimit)
		out.outside = unionReach(out.outside, reach)
		for _, i := range s.within(side) {
			s.survey(side, i)
		}
	}
	slices.Sort(s.reached)
	for _, n := range slices.Compact(s.reached) {
		if n != node {
			out.targets = append(out.targets, target{n, s.sum[n]})
		}
		s.sum[n] = Ports{}
	}
	return out
}

// survey adds what a side's workload may open in one namespace, or who may open what to it from there.
func (s *surveyor) survey(side *near, space int) {
	to := s.spaces[space]
	scope := side.towards(to.n)
	if scope.uniform && scope.ports.Empty() {
		return
	}
	other := far{v: s.v, at: to, d: opposite(side.d), peer: side.e, asked: side.asked}
	for len(s.own) < len(to.coverage.Workloads) {
		s.own = append(s.own, Ports{})
	}
	s.places = scope.gather(to, s.own, s.places[:0])
	for _, i := range s.places {
		own := s.own[i]
		s.own[i] = Ports{}
		if own.Empty() {
			continue // done already
		}
		ports := own.Intersect(other.allows(&to.coverage.Workloads[i]))
		if ports.Empty() {
			continue
		}
		for _, n := range s.owners[space][i] {
			s.sum[n] = s.sum[n].Union(ports)
			s.reached = append(s.reached, n)
		}
	}
}

// within gives the namespaces in which a side may allow something.
func (s *surveyor) within(side *near) []int {
	names := map[string]bool{}
	if !side.governed || !side.isolated || s.shared.oneByOne || !side.reach(side.rules, names) {
		return s.everywhere
	}
	out := make([]int, 0, len(names))
	for name := range names {
		if i, found := slices.BinarySearchFunc(s.namespaces, name, func(n *cluster.Namespace, name string) int { return strings.Compare(n.Name, name) }); found {
			out = append(out, i)
		}
	}
	return out
}

// entrances gives the edges that begin outside the cluster.
func (a *atlas) entrances() []Edge {
	v := a.view()
	var out []Edge
	for i, n := range a.nodes {
		var all []Reach
		for _, at := range a.workloads[i] {
			x, c := a.covered(at)
			reach, _ := v.near(x, c, netpol.Ingress).outside(noLimit)
			all = unionReach(all, reach)
		}
		for _, r := range all {
			out = append(out, Edge{Endpoint{Range: r.Range}, Endpoint{Node: n}, r.Ports})
		}
	}
	slices.SortStableFunc(out, func(x, y Edge) int { return compareEndpoints(x.From, y.From) })
	return out
}

// rows yields the rows in the order of the nodes, until ctx ends.
func (a *atlas) rows(ctx context.Context) iter.Seq[*row] {
	return inOrder(ctx, len(a.nodes), func() func(int) *row {
		s := a.surveyor()
		return func(i int) *row { return s.row(int32(i), netpol.Egress) }
	})
}
