package connectivity

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

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
