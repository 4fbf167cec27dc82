package connectivity

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

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
	s         *cluster.Snapshot
	shared    *shared
	nodes     []*Node
	workloads [][]place   // by node
	owners    [][][]int32 // by namespace and workload: the nodes
}

// place is where a workload is: its namespace's and its own number.
type place struct{ space, workload int }

func newAtlas(s *cluster.Snapshot, o Options) *atlas {
	a := &atlas{s: s, shared: share(s, o, true)}
	for i, c := range a.shared.coverage {
		made := map[string]*Node{}
		where := map[*Node][]place{}
		for j := range c.Workloads {
			w := &c.Workloads[j]
			for _, owner := range w.Owners() {
				key := owner.Kind + "/" + owner.Name
				n := made[key]
				if n == nil {
					n = &Node{Namespace: w.Namespace, Kind: owner.Kind, Name: owner.Name, Isolated: [2]bool{true, true}, HostNetwork: true}
					made[key] = n
				}
				n.Pods += owner.Pods
				n.Workloads = append(n.Workloads, w.Workload)
				n.HostNetwork = n.HostNetwork && w.HostNetwork
				for d := range n.Isolated {
					n.Isolated[d] = n.Isolated[d] && w.Isolated[d]
				}
				where[n] = append(where[n], place{i, j})
			}
		}
		a.owners = append(a.owners, make([][]int32, len(c.Workloads)))
		for _, n := range slices.SortedFunc(maps.Values(made), compareNodes) {
			for _, at := range where[n] {
				a.owners[i][at.workload] = append(a.owners[i][at.workload], int32(len(a.nodes)))
			}
			a.nodes, a.workloads = append(a.nodes, n), append(a.workloads, where[n])
		}
	}
	return a
}

func (a *atlas) view() *View { return newView(a.s, a.shared) }

// covered gives the workload at a place together with its namespace's coverage.
func (a *atlas) covered(at place) (*cluster.Covered, *cluster.Coverage) {
	c := a.shared.coverage[at.space]
	return &c.Workloads[at.workload], c
}

// target is one node that a source reaches.
type target struct {
	node  int32
	ports Ports
}

// row is what one node may open.
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
	v   *View
	sum []Ports // by node, empty between rows
}

func (a *atlas) surveyor() *surveyor {
	return &surveyor{atlas: a, v: a.view(), sum: make([]Ports, len(a.nodes))}
}

// row works out what a node may open: what any of its workloads may.
func (s *surveyor) row(node int32) *row {
	out := &row{node: node}
	first, last := len(s.nodes), -1
	for _, at := range s.workloads[node] {
		x, c := s.covered(at)
		side := s.v.near(x, c, netpol.Egress)
		out.outside = unionReach(out.outside, side.outside())
		for i := range s.v.spaces {
			to := &s.v.spaces[i]
			if len(to.coverage.Workloads) == 0 {
				continue
			}
			scope := side.towards(to.n)
			if scope.uniform && scope.ports.Empty() {
				continue
			}
			other := far{v: s.v, at: to, d: netpol.Ingress, peer: side.e}
			for j := range to.coverage.Workloads {
				y := &to.coverage.Workloads[j]
				ports := scope.allowsWorkload(y)
				if ports.Empty() {
					continue
				}
				if ports = ports.Intersect(other.allows(y)); ports.Empty() {
					continue
				}
				for _, n := range s.owners[i][j] {
					s.sum[n] = s.sum[n].Union(ports)
					first, last = min(first, int(n)), max(last, int(n))
				}
			}
		}
	}
	for n := first; n <= last; n++ {
		if ports := s.sum[n]; !ports.Empty() {
			s.sum[n] = Ports{}
			if int32(n) != node {
				out.targets = append(out.targets, target{int32(n), ports})
			}
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
			all = unionReach(all, v.near(x, c, netpol.Ingress).outside())
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
		return func(i int) *row { return s.row(int32(i)) }
	})
}
