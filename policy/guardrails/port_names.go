package guardrails

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// maxPortNames bounds how many names of ports one line lists.
const maxPortNames = 3

// instead says what there is instead of the name: the names that the pods have, or which pods lack it.
func (i *portItem) instead() string {
	lacking := i.workloads(func(p *portPod) bool { return !i.names(p, i.match.Name) })
	if len(lacking) < len(i.pods) {
		return " (not on " + policy.Names(lacking) + ")"
	}
	var names []string
	for _, p := range i.pods {
		for _, d := range p.declared {
			switch {
			case d.Name == i.match.Name:
				return fmt.Sprintf(" (it is %s there)", d.Protocol)
			case d.Name != "":
				names = append(names, d.Name)
			}
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return " (they name none)"
	}
	if n := len(names); n > maxPortNames {
		names = append(names[:maxPortNames], fmt.Sprintf("+%d", n-maxPortNames))
	}
	return " (they name: " + strings.Join(names, ", ") + ")"
}

// better gives what all destinations have in the item's protocol and the name may have meant: a name that looks like it, or
// the only port that there is, by its name or its number.
func (i *portItem) better() (port intstr.IntOrString, ok bool) {
	var common []netpol.ContainerPort // of the first destination
	for _, d := range i.pods[0].declared {
		shared := func(p portPod) bool { return i.offers(&p, d) }
		if d.Protocol == i.match.Protocol && !slices.Contains(common, d) && !slices.ContainsFunc(i.pods, func(p portPod) bool { return !shared(p) }) {
			common = append(common, d)
		}
	}
	slices.SortFunc(common, comparePorts)
	for _, d := range common {
		if _, near := mistyped(i.match.Name, d.Name); near {
			return intstr.FromString(d.Name), true
		}
	}
	switch {
	case len(common) != 1:
		return intstr.IntOrString{}, false
	case common[0].Name != "":
		return intstr.FromString(common[0].Name), true
	}
	return intstr.FromInt32(int32(common[0].Number)), true
}

// offers reports whether the pods have the port too: by its name, or by its number where it has none.
func (i *portItem) offers(p *portPod, port netpol.ContainerPort) bool {
	if port.Name != "" {
		return i.names(p, port.Name)
	}
	return slices.ContainsFunc(p.declared, func(d netpol.ContainerPort) bool { return d.Number == port.Number && d.Protocol == port.Protocol })
}
