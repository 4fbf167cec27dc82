package render

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// shapes gives the ends of links their shapes.
type shapes struct {
	byName      []group
	byEnd       map[identity]string
	byAddresses map[string]string
	outside     []shape
	count       int
}

func newShapes(nodes []*connectivity.Node) *shapes {
	s := &shapes{byEnd: map[identity]string{}, byAddresses: map[string]string{}}
	for i, n := range nodes {
		if i == 0 || nodes[i-1].Namespace != n.Namespace {
			s.byName = append(s.byName, group{name: printable(n.Namespace)})
		}
		label := printable(n.Name) + "\n" + printable(n.Kind)
		if n.Pods > 0 { // only a template is known otherwise
			label += ", " + count(n.Pods, "pod")
		}
		g := &s.byName[len(s.byName)-1]
		g.shapes = append(g.shapes, shape{id: s.next(), label: label, way: way(n)})
		s.byEnd[identify(n)] = g.shapes[len(g.shapes)-1].id
	}
	return s
}

// newNamespaceShapes gives all workloads of a namespace one shape.
func newNamespaceShapes(nodes []*connectivity.Node) *shapes {
	s := &shapes{byEnd: map[identity]string{}, byAddresses: map[string]string{}}
	for first := 0; first < len(nodes); {
		last := first
		id := s.next()
		for ; last < len(nodes) && nodes[last].Namespace == nodes[first].Namespace; last++ {
			s.byEnd[identify(nodes[last])] = id
		}
		name := printable(nodes[first].Namespace)
		label := name + "\n" + count(last-first, "workload")
		s.byName = append(s.byName, group{name, []shape{{id: id, label: label, kind: namespaceShape}}})
		first = last
	}
	return s
}

func (s *shapes) next() string {
	s.count++
	return fmt.Sprintf("n%d", s.count)
}

func (s *shapes) ofEnd(e end) string {
	if e.node != nil {
		return s.byEnd[identify(e.node)]
	}
	label := e.addresses.String()
	id, seen := s.byAddresses[label]
	if !seen {
		id = s.next()
		s.byAddresses[label] = id
		s.outside = append(s.outside, shape{id: id, label: label, kind: addressShape})
	}
	return id
}

// groups gives the namespaces and, where lines need them, the addresses.
func (s *shapes) groups() []group {
	if len(s.outside) == 0 {
		return s.byName
	}
	return append(s.byName, group{shapes: s.outside})
}
