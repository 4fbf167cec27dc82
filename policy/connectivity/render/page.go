package render

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

const (
	// pageNodes is the number of workloads up to which a browser draws them in about two seconds.
	pageNodes = 5000
	// pageNumbers bounds the edges in a page, in numbers that encode them: about 3 MiB.
	pageNumbers = 500_000
)

// page is the data of the HTML page. An end is a number: the nodes by their index and then the addresses.
type page struct {
	Nodes []pageNode `json:"nodes"`
	// Addresses are sets of addresses outside the cluster, in words.
	Addresses []string    `json:"addresses"`
	Ports     []pagePorts `json:"ports"`
	// Rows are [ports, first, last, first, last, …]: the ends from each first to its last, on these ports. A row may hold
	// the end that it is used for, which means nothing.
	Rows [][]int `json:"rows"`
	// Out, Cut and Opened are [source, row, row, …].
	Out    [][]int `json:"out"`
	Cut    [][]int `json:"cut,omitempty"`
	Opened [][]int `json:"opened,omitempty"`
	// Diff says that the page shows a change; Unchanged belongs to it.
	Diff      bool `json:"diff,omitempty"`
	Unchanged int  `json:"unchanged,omitempty"`
	// Grouped says that each node stands for a namespace.
	Grouped bool `json:"grouped,omitempty"`
	// Notes say what the page lacks.
	Notes []string `json:"notes,omitempty"`
}

type pageNode struct {
	Namespace string `json:"ns"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Pods      int    `json:"pods"`
	// Way has bit 1 for ingress and bit 2 for egress that is isolated.
	Way         int  `json:"way"`
	HostNetwork bool `json:"host,omitempty"`
	// Mixed says of a namespace that its workloads differ in how they are isolated.
	Mixed  bool   `json:"mixed,omitempty"`
	Change string `json:"change,omitempty"` // "added" or "removed"
}

type pagePorts struct {
	Label string `json:"label"`
	All   bool   `json:"all,omitempty"`
	// Ranges are the first and last port of each run, for the search.
	Ranges [][2]uint16 `json:"ranges,omitempty"`
}

func newPage(g *connectivity.Graph) *page {
	e := newEncoder(g.Nodes, false)
	out, fits := e.encode(links(g.Edges))
	if !fits {
		e = newEncoder(g.Nodes, true)
		out, _ = e.encode(links(g.Edges))
	}
	p := e.page(g.Partial)
	p.Out = out
	return p
}

func newDiffPage(d *connectivity.Difference, after *connectivity.Graph) *page {
	e := newEncoder(d.Nodes, false)
	p, fits := e.difference(d, after)
	if !fits {
		e = newEncoder(d.Nodes, true)
		p, _ = e.difference(d, after)
	}
	return p
}

// difference encodes the three sets of edges; fits is false where the page would become too large.
func (e *encoder) difference(d *connectivity.Difference, after *connectivity.Graph) (p *page, fits bool) {
	cut, fits := e.encode(links(slices.Values(d.Cut)))
	if !fits {
		return nil, false
	}
	opened, fits := e.encode(links(slices.Values(d.Opened)))
	if !fits {
		return nil, false
	}
	out, fits := e.encode(links(after.Edges))
	if !fits {
		return nil, false
	}
	reasons := slices.Clone(d.Partial)
	for _, reason := range after.Partial {
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	p = e.page(reasons)
	p.Diff, p.Unchanged = true, d.Unchanged
	p.Cut, p.Opened, p.Out = cut, opened, out
	e.mark(d.Added, "added")
	e.mark(d.Removed, "removed")
	return p, true
}

// mark says of nodes that they came or went; a namespace that stands for all of its workloads did neither.
func (e *encoder) mark(nodes []*connectivity.Node, change string) {
	if e.grouped {
		return
	}
	for _, n := range nodes {
		e.nodes[e.index[identify(n)]].Change = change
	}
}

// page gives what was encoded so far, without its edges. It shares the nodes with e.
func (e *encoder) page(reasons []string) *page {
	p := &page{Nodes: e.nodes, Addresses: e.addresses.list, Ports: e.portsJSON(), Rows: e.rows.list, Grouped: e.grouped}
	for _, reason := range reasons {
		p.Notes = append(p.Notes, "Incomplete: "+printable(reason))
	}
	if e.grouped {
		p.Notes = append(p.Notes, fmt.Sprintf(
			"%d workloads and their connections are too many for one page, so each namespace stands for all of its workloads. "+
				"The JSON and CSV output has every connection.", e.workloads))
	}
	return p
}
