package connectivity

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// sweepEvent is an address at which a rule begins or ceases to allow ports.
type sweepEvent struct {
	at    netip.Addr
	ports int // number of the set
	by    int // 1 begins, -1 ceases
}

// sweeper goes over all addresses in order and knows what is allowed with each.
type sweeper struct {
	base    Ports           // allowed with every address
	sets    []Ports         // each once
	numbers map[string]int  // of the sets
	events  [2][]sweepEvent // by IP family
	active  map[int]int     // how many rules allow each set at the address at hand
	left    int             // how much more may be looked at; see near.sweep
	out     []Reach
}

// sweep gives what the NetworkPolicies allow together with addresses outside the cluster, sorted. The work grows with the
// number of address ranges and of the sets of ports that overlap at one address; ok is false where it exceeds limit.
func (n *near) sweep(limit int) (out []Reach, ok bool) {
	s := &sweeper{numbers: map[string]int{}, active: map[int]int{}, left: limit}
	for _, r := range n.rules {
		ports := resolve(r.Ports, n.declared(netpol.Endpoint{}))
		if ports.Empty() {
			continue
		}
		if len(r.Peers) == 0 {
			s.base = s.base.Union(ports)
		}
		for i := range r.Peers {
			if b := r.Peers[i].Block; b != nil {
				s.add(b, s.number(ports))
			}
		}
	}
	for family := range families {
		if !s.family(family) {
			return nil, false
		}
	}
	return s.out, true
}

func (s *sweeper) number(p Ports) int {
	key := p.String()
	n, known := s.numbers[key]
	if !known {
		n = len(s.sets)
		s.numbers[key], s.sets = n, append(s.sets, p)
	}
	return n
}

// add notes where a block begins and ends, and its exceptions in it.
func (s *sweeper) add(b *netpol.IPBlock, ports int) {
	ranges := []netipx.IPRange{netipx.RangeOfPrefix(b.CIDR)}
	if len(b.Except) > 0 {
		var set netipx.IPSetBuilder
		set.AddPrefix(b.CIDR)
		for _, x := range b.Except {
			set.RemovePrefix(x)
		}
		left, err := set.IPSet()
		if err != nil {
			return // only prefixes that are none make one, and those do not compile
		}
		ranges = left.Ranges()
	}
	family := 0
	if !b.CIDR.Addr().Is4() {
		family = 1
	}
	for _, r := range ranges {
		s.events[family] = append(s.events[family], sweepEvent{r.From(), ports, 1})
		if next := r.To().Next(); next.IsValid() {
			s.events[family] = append(s.events[family], sweepEvent{next, ports, -1})
		}
	}
}

// family goes over the addresses of one IP family; it gives false where that is too much.
func (s *sweeper) family(family int) bool {
	clear(s.active)
	events := s.events[family]
	slices.SortFunc(events, func(a, b sweepEvent) int { return a.at.Compare(b.at) })
	first := families[family].First
	for i := 0; i < len(events); {
		at := events[i].at
		if first.Less(at) {
			s.emit(Range{first, at.Prev()})
			first = at
		}
		for ; i < len(events) && events[i].at == at; i++ {
			e := events[i]
			if s.active[e.ports] += e.by; s.active[e.ports] == 0 {
				delete(s.active, e.ports)
			}
		}
		if s.left -= len(s.active) + 1; s.left < 0 {
			return false
		}
	}
	s.emit(Range{first, families[family].Last})
	return true
}

// emit notes what is allowed with a range of addresses.
func (s *sweeper) emit(r Range) {
	ports := s.base
	switch len(s.active) {
	case 0:
	case 1:
		for n := range s.active {
			ports = ports.Union(s.sets[n])
		}
	default:
		all := slices.Clone(ports.ranges)
		for n := range s.active {
			all = append(all, s.sets[n].ranges...)
		}
		ports = PortsOf(all...)
	}
	if !ports.Empty() {
		s.out = appendReach(s.out, Reach{r, ports})
	}
}
