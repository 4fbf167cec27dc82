package render

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// fewTargets is the number of targets up to which a row holds exactly them. Larger rows take in their source as well:
// then all workloads that reach everything share one row.
const fewTargets = 8

// encoder makes the data of a page. Sources that reach the same ends on the same ports share a row, so that a fully open
// cluster costs a few numbers a workload.
type encoder struct {
	grouped   bool
	workloads int
	nodes     []pageNode
	index     map[identity]int
	addresses dictionary[string]
	ports     dictionary[connectivity.Ports]
	rows      dictionary[[]int]
	numbers   int
}

// dictionary numbers different values in the order in which they come.
type dictionary[T any] struct {
	list  []T
	index map[string]int
}

// number gives the value's number. Equal values have to come with equal keys.
func (d *dictionary[T]) number(key string, value T) (number int, fresh bool) {
	number, seen := d.index[key]
	if !seen {
		if d.index == nil {
			d.index = map[string]int{}
		}
		number = len(d.list)
		d.index[key] = number
		d.list = append(d.list, value)
	}
	return number, !seen
}

// newEncoder numbers the nodes, which are sorted. More than pageNodes are always grouped by namespace.
func newEncoder(nodes []*connectivity.Node, grouped bool) *encoder {
	e := &encoder{grouped: grouped || len(nodes) > pageNodes, workloads: len(nodes), index: map[identity]int{}}
	for i, n := range nodes {
		if e.grouped && i > 0 && nodes[i-1].Namespace == n.Namespace {
			e.nodes[len(e.nodes)-1].join(n)
		} else {
			e.nodes = append(e.nodes, encodeNode(n))
		}
		e.index[identify(n)] = len(e.nodes) - 1
	}
	if e.grouped {
		e.nameGroups(nodes)
	}
	return e
}

func encodeNode(n *connectivity.Node) pageNode {
	return pageNode{
		Namespace: printable(n.Namespace), Kind: printable(n.Kind), Name: printable(n.Name),
		Pods: n.Pods, Way: openness(n), HostNetwork: n.HostNetwork,
	}
}

// join makes p stand for n too. A namespace is isolated where all of its workloads are.
func (p *pageNode) join(n *connectivity.Node) {
	p.Pods += n.Pods
	p.Mixed = p.Mixed || p.Way != openness(n)
	p.Way &= openness(n)
	p.HostNetwork = p.HostNetwork && n.HostNetwork
}

func (e *encoder) nameGroups(nodes []*connectivity.Node) {
	counts := make([]int, len(e.nodes))
	for _, n := range nodes {
		counts[e.index[identify(n)]]++
	}
	for i := range e.nodes {
		e.nodes[i].Kind, e.nodes[i].Name = "Namespace", count(counts[i], "workload")
	}
}

// encode gives [source, row, row, …] for each source. fits is false where the page would become too large, which one
// that is grouped never does.
func (e *encoder) encode(all iter.Seq[link]) (out [][]int, fits bool) {
	var source int
	reached := map[int]connectivity.Ports{}
	flush := func() {
		if len(reached) > 0 {
			out = append(out, append([]int{source}, e.rowsOf(source, reached)...))
			clear(reached)
		}
	}
	for l := range all {
		if from := e.end(l.from); from != source {
			flush()
			source = from
		}
		to := e.end(l.to)
		reached[to] = reached[to].Union(l.ports)
		if e.numbers > pageNumbers && !e.grouped {
			return nil, false
		}
	}
	flush()
	return out, true
}

// end numbers an end. Addresses follow the nodes.
func (e *encoder) end(x end) int {
	if x.node != nil {
		return e.index[identify(x.node)]
	}
	label := x.addresses.String()
	number, _ := e.addresses.number(label, label)
	return len(e.nodes) + number
}

// rowsOf gives the rows that hold what a source reaches, one for each set of ports.
func (e *encoder) rowsOf(source int, reached map[int]connectivity.Ports) []int {
	targets := map[int][]int{}
	for _, to := range slices.Sorted(maps.Keys(reached)) {
		number := e.portsNumber(reached[to])
		targets[number] = append(targets[number], to)
	}
	out := make([]int, 0, len(targets))
	for _, ports := range slices.Sorted(maps.Keys(targets)) {
		row := append([]int{ports}, runs(withSelf(targets[ports], source))...)
		number, fresh := e.rows.number(fmt.Sprint(row), row)
		if fresh {
			e.numbers += len(row)
		}
		out = append(out, number)
	}
	e.numbers += len(out)
	return out
}

func withSelf(targets []int, source int) []int {
	at, found := slices.BinarySearch(targets, source)
	if found || len(targets) <= fewTargets {
		return targets
	}
	return slices.Insert(targets, at, source)
}

// runs writes sorted numbers as the first and last of each run.
func runs(sorted []int) []int {
	var out []int
	for i, x := range sorted {
		if i > 0 && sorted[i-1]+1 == x {
			out[len(out)-1] = x
		} else {
			out = append(out, x, x)
		}
	}
	return out
}

func (e *encoder) portsNumber(p connectivity.Ports) int {
	number, _ := e.ports.number(p.String(), p)
	return number
}

func (e *encoder) portsJSON() []pagePorts {
	out := make([]pagePorts, 0, len(e.ports.list))
	for _, p := range e.ports.list {
		x := pagePorts{Label: p.String(), All: p.All()}
		if !x.All {
			for _, r := range p.Ranges() {
				x.Ranges = append(x.Ranges, [2]uint16{r.First, r.Last})
			}
		}
		out = append(out, x)
	}
	return out
}
