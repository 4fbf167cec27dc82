package connectivity

import (
	"context"
	"fmt"
	"iter"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Neighbourhood is who can reach whom at one namespace. The rest of the cluster is looked at only as far as the namespace has
// to do with it, so that one namespace of a large cluster is a matter of moments.
type Neighbourhood struct {
	Namespace string
	// Nodes are those of the namespace, sorted.
	Nodes []*Node
	// Others counts the nodes of all other namespaces.
	Others int
	// Rows yields for each node and direction, ingress first, its edges. A node is an end of all of them: the destination for
	// ingress and the source for egress. Those between two nodes of the namespace come for egress alone. It may be ranged
	// over again.
	Rows iter.Seq2[netpol.Direction, []Edge]
	// Partial says what is missing and why, a sentence each; it is set while Rows is ranged over.
	Partial []string
}

// Around works out who can reach whom at a namespace, while the rows are ranged over. Where ctx ends first, so do the rows. The
// namespace may be one that the cluster does not have; then it has no nodes.
func Around(ctx context.Context, s *cluster.Snapshot, namespace string, o Options) *Neighbourhood {
	a := newAtlas(s, o)
	n := &Neighbourhood{Namespace: namespace}
	var own []int32
	for i, node := range a.nodes {
		if node.Namespace == namespace {
			n.Nodes, own = append(n.Nodes, node), append(own, int32(i))
		}
	}
	n.Others = len(a.nodes) - len(own)
	n.Rows = func(yield func(netpol.Direction, []Edge) bool) {
		n.Partial = nil
		u := a.surveyor()
		for done, i := range own {
			if ctx.Err() != nil {
				n.Partial = []string{fmt.Sprintf("stopped after the first %d of %d workloads: %v", done, len(own), context.Cause(ctx))}
				return
			}
			if !yield(netpol.Ingress, u.row(i, netpol.Ingress).incoming(a.nodes)) || !yield(netpol.Egress, u.row(i, netpol.Egress).edges(a.nodes)) {
				return
			}
		}
	}
	return n
}

// incoming gives the edges of a row for ingress that come from elsewhere.
func (r *row) incoming(nodes []*Node) []Edge {
	out := make([]Edge, 0, len(r.targets)+len(r.outside))
	to := Endpoint{Node: nodes[r.node]}
	for _, t := range r.targets {
		if nodes[t.node].Namespace != to.Node.Namespace {
			out = append(out, Edge{Endpoint{Node: nodes[t.node]}, to, t.ports})
		}
	}
	for _, reach := range r.outside {
		out = append(out, Edge{Endpoint{Range: reach.Range}, to, reach.Ports})
	}
	return out
}
