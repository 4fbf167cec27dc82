package connectivity

import (
	"cmp"
	"iter"
	"net/netip"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Node is one owner of pods: a Deployment, a StatefulSet, …, or a Pod that nothing owns. It must not be changed.
type Node struct {
	Namespace, Kind, Name string
	// Pods counts the live pods; 0 where only a pod template is known.
	Pods int
	// Isolated says by netpol.Direction whether policies restrict the pods: what is isolated in a direction refuses what
	// no rule allows. Where an owner's pods differ, all of them have to be isolated.
	Isolated [2]bool
	// HostNetwork pods are outside NetworkPolicy's reach.
	HostNetwork bool
	// Workloads are the kinds of pods that the owner has: one, unless their labels differ.
	Workloads []*cluster.Workload
}

// String writes the node for people and for --focus: "shop/api".
func (n *Node) String() string { return n.Namespace + "/" + n.Name }

func compareNodes(a, b *Node) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
}

// Range is a run of addresses of one IP family outside the cluster, both ends included.
type Range struct{ First, Last netip.Addr }

// String writes the range as its first and last address: "10.0.0.0-10.255.255.255".
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// Endpoint is one end of a connection: a node, or addresses outside the cluster where Node is nil.
type Endpoint struct {
	Node  *Node
	Range Range
}

// String writes the endpoint for people.
func (e Endpoint) String() string {
	if e.Node == nil {
		return e.Range.String()
	}
	return e.Node.String()
}

func compareEndpoints(a, b Endpoint) int {
	switch {
	case a.Node != nil && b.Node != nil:
		return compareNodes(a.Node, b.Node)
	case a.Node != nil:
		return -1
	case b.Node != nil:
		return 1
	}
	return cmp.Or(a.Range.First.Compare(b.Range.First), a.Range.Last.Compare(b.Range.Last))
}

// Edge is what one endpoint may open to another. Ports is never empty.
type Edge struct {
	From, To Endpoint
	Ports    Ports
}

// Graph is who can reach whom in one cluster. An edge never leads from a node to itself, and address ranges are never
// both its ends.
type Graph struct {
	// Nodes are sorted by namespace, name and kind.
	Nodes []*Node
	// Edges yields the edges sorted by source and destination, nodes before ranges. It may be ranged over again.
	Edges iter.Seq[Edge]
	// Partial says what is missing and why, a sentence each; empty for a complete graph.
	Partial []string
}

// Difference is what changed between two clusters.
type Difference struct {
	// Nodes of both clusters, sorted; Added and Removed are those that only the second or the first has.
	Nodes, Added, Removed []*Node
	// Cut and Opened are sorted like a graph's edges; their ports are only those that changed. A pair of endpoints can be
	// in both.
	Cut, Opened []Edge
	// Unchanged counts the pairs of endpoints that the same connections join before and after.
	Unchanged int
	// Partial says what is missing and why, a sentence each; empty for a complete difference.
	Partial []string
}
