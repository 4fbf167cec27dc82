package connectivity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Ports is a set of destination ports as the destination pod sees them. The zero value is the empty set. A set never
// changes; its ranges are sorted, apart and as long as can be, so that equal sets have equal ranges.
type Ports struct{ ranges []PortRange }

// PortRange is a run of ports of one protocol, both ends included, within 1 to 65535.
type PortRange struct {
	Protocol    corev1.Protocol
	First, Last uint16
}

// lastPort is the highest port number. Source: core/v1 ContainerPort.containerPort, "0 < x < 65536".
const lastPort = 65535

// protocols are those that NetworkPolicy knows, in the order in which sets list them.
// Source: networking/v1 NetworkPolicyPort.protocol.
var protocols = [...]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

func order(p corev1.Protocol) int { return slices.Index(protocols[:], p) }

var allPorts = Ports{ranges: []PortRange{
	{corev1.ProtocolTCP, 1, lastPort}, {corev1.ProtocolUDP, 1, lastPort}, {corev1.ProtocolSCTP, 1, lastPort},
}}

// AllPorts is every port of every protocol: what a rule without ports allows, and a pod that is not isolated.
func AllPorts() Ports { return allPorts }

// PortsOf gives the set of the ranges, which may overlap and come in any order. Ranges that hold nothing, and of
// protocols that NetworkPolicy does not know, are left out.
func PortsOf(ranges ...PortRange) Ports {
	kept := make([]PortRange, 0, len(ranges))
	for _, r := range ranges {
		if r.First = max(r.First, 1); r.First <= r.Last && order(r.Protocol) >= 0 {
			kept = append(kept, r)
		}
	}
	slices.SortFunc(kept, func(a, b PortRange) int {
		return cmp.Or(cmp.Compare(order(a.Protocol), order(b.Protocol)), cmp.Compare(a.First, b.First))
	})
	out := kept[:0]
	for _, r := range kept {
		if n := len(out); n > 0 && out[n-1].Protocol == r.Protocol && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return Ports{ranges: out}
}

// Ranges lists the set's ranges, sorted by protocol (TCP, UDP, SCTP) and port. They must not be changed.
func (p Ports) Ranges() []PortRange { return p.ranges }

// Empty reports whether the set holds nothing.
func (p Ports) Empty() bool { return len(p.ranges) == 0 }

// All reports whether the set holds every port of every protocol.
func (p Ports) All() bool {
	return len(p.ranges) == len(protocols) && &p.ranges[0] == &allPorts.ranges[0] || len(p.ranges) == len(protocols) && p.ranges[0] == allPorts.ranges[0] && p.ranges[1] == allPorts.ranges[1] && p.ranges[2] == allPorts.ranges[2]
}

// Equal reports whether both sets hold the same.
func (p Ports) Equal(q Ports) bool {
	return len(p.ranges) == len(q.ranges) && (len(p.ranges) == 0 || &p.ranges[0] == &q.ranges[0] || slices.Equal(p.ranges, q.ranges))
}

// Contains reports whether the set holds port.
func (p Ports) Contains(port netpol.Port) bool {
	for _, r := range p.ranges {
		if r.Protocol == port.Protocol && r.First <= port.Number && port.Number <= r.Last {
			return true
		}
	}
	return false
}

// Union gives what either set holds.
func (p Ports) Union(q Ports) Ports {
	switch {
	case p.Empty() || q.All():
		return q
	case q.Empty() || p.All() || p.Equal(q):
		return p
	}
	return PortsOf(append(slices.Clone(p.ranges), q.ranges...)...)
}

// fewSets is up to how many sets a union is kept in order as it grows. What comes after them is put in order once, at the end: else
// the work would grow with the square of their number.
const fewSets = 8

// portUnion is the union of many sets.
type portUnion struct {
	sum  Ports
	sets int         // in sum
	more []PortRange // not in sum yet
}

func (u *portUnion) add(p Ports) {
	switch {
	case u.sum.All():
	case u.sets < fewSets || p.All():
		u.sum = u.sum.Union(p)
		u.sets++
	default:
		u.more = append(u.more, p.ranges...)
	}
}

func (u *portUnion) ports() Ports {
	if len(u.more) == 0 || u.sum.All() {
		return u.sum
	}
	return PortsOf(append(u.more, u.sum.ranges...)...)
}

// Intersect gives what both sets hold.
func (p Ports) Intersect(q Ports) Ports {
	switch {
	case p.All() || q.Empty():
		return q
	case q.All() || p.Empty():
		return p
	}
	var out []PortRange
	for _, a := range p.ranges {
		for _, b := range q.ranges {
			if first, last := max(a.First, b.First), min(a.Last, b.Last); a.Protocol == b.Protocol && first <= last {
				out = append(out, PortRange{a.Protocol, first, last})
			}
		}
	}
	return Ports{ranges: out} // sorted and apart because both are
}

// Minus gives what p holds and q does not.
func (p Ports) Minus(q Ports) Ports {
	if p.Empty() || q.Empty() {
		return p
	}
	if q.All() {
		return Ports{}
	}
	var out []PortRange
	for _, r := range p.ranges {
		first := int(r.First)
		for _, x := range q.ranges {
			if x.Protocol != r.Protocol || int(x.Last) < first || x.First > r.Last {
				continue
			}
			if int(x.First) > first {
				out = append(out, PortRange{r.Protocol, uint16(first), x.First - 1})
			}
			first = int(x.Last) + 1
		}
		if first <= int(r.Last) {
			out = append(out, PortRange{r.Protocol, uint16(first), r.Last})
		}
	}
	return Ports{ranges: out}
}

// String writes the set for people: "TCP 80, 443, 8000-8010, UDP 53", "all ports", or "none". A protocol with all its
// ports stands alone: "TCP".
func (p Ports) String() string {
	switch {
	case p.Empty():
		return "none"
	case p.All():
		return "all ports"
	}
	var b strings.Builder
	for i, r := range p.ranges {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == 0 || p.ranges[i-1].Protocol != r.Protocol {
			b.WriteString(string(r.Protocol))
			if r.First == 1 && r.Last == lastPort {
				continue
			}
			b.WriteByte(' ')
		}
		b.WriteString(r.numbers())
	}
	return b.String()
}

func (r PortRange) numbers() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// resolve gives the ports that the items of a rule's ports stand for on a destination with these container ports. No
// items stand for all ports; outside the cluster nothing has a name.
func resolve(items []netpol.PortMatch, declared []netpol.ContainerPort) Ports {
	if len(items) == 0 {
		return allPorts
	}
	ranges := make([]PortRange, 0, len(items))
	for _, m := range items {
		switch {
		case m.Name != "":
			for _, c := range declared {
				if c.Name == m.Name && c.Protocol == m.Protocol {
					ranges = append(ranges, PortRange{c.Protocol, c.Number, c.Number})
				}
			}
		case m.Number == 0:
			ranges = append(ranges, PortRange{m.Protocol, 1, lastPort})
		default:
			ranges = append(ranges, PortRange{m.Protocol, m.Number, m.End})
		}
	}
	return PortsOf(ranges...)
}
