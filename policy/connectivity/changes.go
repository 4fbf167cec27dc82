package connectivity

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Touched is a workload that a change touches: what policies say about it changes, or what they see in it.
type Touched struct {
	// Before and After are the workload on either side; they differ where its labels change.
	Before, After *cluster.Workload
	// Directions are those to compare: where policies that select the workload change, only the directions that one of
	// them isolates; where the workload or its namespace changes, both.
	Directions [2]bool
}

// Pair is a touched workload and a peer between which something changed.
type Pair struct {
	// Touched is the place of the workload in the list.
	Touched int
	// Direction of the connection as the touched workload sees it: with Egress it is the source.
	Direction netpol.Direction
	// Peer is the other workload as it is after the change, nil for addresses outside the cluster, which Range then holds.
	Peer  *cluster.Workload
	Range Range
	// Cut and Opened are the ports of connections that were possible and are not, and the reverse.
	Cut, Opened Ports
}

// Extent is how much of the work was done.
type Extent struct {
	// Compared counts the pairs that were looked at or that could be told to be the same without looking; Total is all of
	// them.
	Compared, Total int
}

// Complete reports whether all of the work was done.
func (e Extent) Complete() bool { return e.Compared == e.Total }

// Changes gives each pair of a touched workload and a peer between which connections are cut or opened, in the order of
// the list, direction, and peers as the snapshots sort them. Pairs of two touched workloads come once. The work grows
// with what the change touches: peers that fare the same on both sides are passed over by namespace. It ends before
// more than limit peers are looked at one by one, or a hundredth of that where there are tiers; the extent tells how far it
// got.
//
// Every live workload to whom the policies of the two snapshots mean different things has to be in the list.
func Changes(before, after *cluster.Snapshot, touched []Touched, limit int, visit func(*Pair)) Extent {
	r := &changes{
		before: NewView(before), after: NewView(after), touched: touched, in: map[string][]int{}, named: map[workloadName][]int{},
		pairs: map[string]*spacePair{}, others: map[others][]*spacePair{}, left: limit, price: 1, visit: visit,
	}
	if r.before.shared.oneByOne || r.after.shared.oneByOne {
		r.price = tieredPrice
	}
	for i := range touched {
		w := touched[i].After
		at := workloadName{w.Namespace, w.Kind, w.Name}
		r.in[at.namespace], r.named[at] = append(r.in[at.namespace], i), append(r.named[at], i)
	}
	sides := 0
	for i := range touched {
		for _, d := range netpol.Directions {
			if !touched[i].Directions[d] {
				continue
			}
			if sides++; !r.ended {
				r.compare(i, d)
			} else {
				r.missed += r.after.s.Stats().Workloads
			}
		}
	}
	total := sides * r.after.s.Stats().Workloads
	return Extent{Compared: max(total-r.missed, 0), Total: total}
}

// tieredPrice is how many peers one counts for in a cluster with tiers, whose policies are asked about every pair.
const tieredPrice = 100

// changes is one run of Changes.
type changes struct {
	before, after *View
	touched       []Touched
	in            map[string][]int       // the touched by namespace
	named         map[workloadName][]int // the touched, too
	pairs         map[string]*spacePair  // by namespace
	others        map[others][]*spacePair
	alike         []*alike
	left          int  // how many more peers may be looked at
	price         int  // how many one counts for
	ended         bool // because that was not enough
	missed        int  // how many were not looked at then
	visit         func(*Pair)
}

// workloadName is what workloads that are the same have in common; few others do.
type workloadName struct{ namespace, kind, name string }

// spacePair is a namespace on both sides.
type spacePair struct {
	before, after *space
	peers         []peerPair // made where the two sides differ
	same          bool       // both sides have the same coverage
	everyone      []int32    // the places of all peers; made when they are needed
	tells         [2]tells   // by direction
}

type peerPair struct{ before, after *cluster.Covered }

// pair lines up the two sides of a namespace; nil where it is not on both. A change neither adds nor removes one that
// has pods.
func (r *changes) pair(name string) *spacePair {
	if p, done := r.pairs[name]; done {
		return p
	}
	var p *spacePair
	b, a := r.before.s.Namespace(name), r.after.s.Namespace(name)
	if b != nil && a != nil {
		p = &spacePair{before: r.before.space(b), after: r.after.space(a)}
		if p.same = p.before.coverage == p.after.coverage; !p.same {
			p.peers = matchPeers(p.before.coverage.Workloads, p.after.coverage.Workloads)
		}
	}
	r.pairs[name] = p
	return p
}

// size counts the peers in the namespace.
func (p *spacePair) size() int {
	if p.same {
		return len(p.after.coverage.Workloads)
	}
	return len(p.peers)
}

// peer gives one of them.
func (p *spacePair) peer(i int32) peerPair {
	if p.same {
		return peerPair{&p.before.coverage.Workloads[i], &p.after.coverage.Workloads[i]}
	}
	return p.peers[i]
}

func matchPeers(before, after []cluster.Covered) []peerPair {
	out := make([]peerPair, 0, len(after))
	for i := range after {
		if i < len(before) && before[i].Workload == after[i].Workload {
			out = append(out, peerPair{&before[i], &after[i]})
			continue
		}
		for j := range before {
			if before[j].Same(after[i].Workload) {
				out = append(out, peerPair{&before[j], &after[i]})
				break
			}
		}
	}
	return out
}

// compare goes through the peers of one touched workload in one direction.
func (r *changes) compare(i int, d netpol.Direction) {
	t := &r.touched[i]
	b, a := r.before.nearIn(t.Before, d), r.after.nearIn(t.After, d)
	r.left -= b.work() + a.work() // to list their rules
	seen := maps.Equal(b.e.NamespaceLabels, a.e.NamespaceLabels) && (t.Before == t.After || sameToPeers(b.e, a.e))
	x := r.likeOf(b, a, seen)
	for _, p := range x.suspects {
		open := r.willing(p, opposite(d), b.e, a.e)
		if len(open) == 0 {
			continue
		}
		if r.left -= b.work() + a.work(); r.left < 0 || r.ended {
			r.ended, r.missed = true, r.missed+len(open)
			continue
		}
		from, to := b.towards(p.before.n), a.towards(p.after.n)
		if from.uniform && to.uniform && from.ports.Equal(to.ports) &&
			(from.ports.Empty() || !r.touches(p.after.n.Name, opposite(d)) && (seen || !r.distinguishes(p, opposite(d), b.e, a.e))) {
			continue
		}
		price := r.price * (1 + rulesPrice(len(from.rules)+len(to.rules)))
		if r.left < len(open)*price {
			r.ended, r.missed = true, r.missed+len(open)
			continue
		}
		r.left -= len(open) * price
		r.comparePeers(i, d, p, open, &from, &to, seen)
	}
	if !r.ended && !b.sameRules(a) {
		r.compareOutside(i, d, x)
	}
}

// rulesPrice is what it costs to look at n rules and put their ports in order, in peers that have few rules: nothing for those that
// people write, 2 for 50, 3,500 for 30,000.
func rulesPrice(n int) int { return n * bits.Len(uint(n)) / 128 }

// work is what it costs to go through the near side's rules, in peers.
func (n *near) work() int { return rulesPrice(len(n.rules)) }

// nearIn is nearOf for a workload that the snapshot most likely has: then its namespace's coverage tells which policies
// select it.
func (v *View) nearIn(w *cluster.Workload, d netpol.Direction) *near {
	if n := v.s.Namespace(w.Namespace); n != nil {
		x := v.space(n)
		all := x.coverage.Workloads
		for range all { // most often it is the same as the last time or the one after
			if x.next < 0 {
				break
			}
			if x.next %= len(all); all[x.next].Workload == w {
				return v.near(&all[x.next], x.coverage, d)
			}
			x.next++
		}
		x.next = -1 // a snapshot that holds none of them is not searched for each
	}
	return v.nearOf(w, d)
}

// nearOf is near for a workload that need not be in the snapshot.
func (v *View) nearOf(w *cluster.Workload, d netpol.Direction) *near {
	c := cluster.Cover(v.s.Policies(w.Namespace), []*cluster.Workload{w})
	return v.near(&c.Workloads[0], c, d)
}

// sameToPeers reports whether peers see no difference between two versions of a workload.
func sameToPeers(a, b netpol.Endpoint) bool {
	return a.HostNetwork == b.HostNetwork && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.NamespaceLabels, b.NamespaceLabels) &&
		slices.Equal(a.Ports, b.Ports)
}

// sameRules reports whether the same rules decide on both sides.
func (n *near) sameRules(other *near) bool {
	if n.governed != other.governed || n.isolated != other.isolated || !slices.Equal(n.rules, other.rules) ||
		n.d == netpol.Ingress && !slices.Equal(n.e.Ports, other.e.Ports) {
		return false
	}
	return sameTiers(n, other)
}

// sameTiers reports whether the same cluster-wide policies decide on both sides.
func sameTiers(a, b *near) bool {
	return slices.Equal(a.tiers[0], b.tiers[0]) && slices.Equal(a.tiers[1], b.tiers[1])
}

// touches reports whether the namespace has a workload that the change touches in direction d.
func (r *changes) touches(namespace string, d netpol.Direction) bool {
	for _, i := range r.in[namespace] {
		if r.touched[i].Directions[d] {
			return true
		}
	}
	return false
}

// comparePeers compares the connections with some workloads of one namespace.
func (r *changes) comparePeers(i int, d netpol.Direction, p *spacePair, peers []int32, from, to *scope, seen bool) {
	was := far{v: r.before, at: p.before, d: opposite(d), peer: from.e, asked: from.asked}
	is := far{v: r.after, at: p.after, d: opposite(d), peer: to.e, asked: to.asked}
	t := &r.touched[i]
	untouched := len(r.in[p.after.n.Name]) == 0
	for _, j := range peers {
		pair := p.peer(j)
		if pair.after.Namespace == t.After.Namespace && pair.after.Kind == t.After.Kind && pair.after.Name == t.After.Name {
			continue // its own pods
		}
		had, has := from.allowsWorkload(pair.before), to.allowsWorkload(pair.after)
		if had.Empty() && has.Empty() {
			continue
		}
		peer := none
		if !untouched {
			peer = r.find(pair.after.Workload)
		}
		if d == netpol.Ingress && peer >= 0 && r.touched[peer].Directions[netpol.Egress] {
			continue // came with the peer
		}
		var cut, opened Ports
		if seen && peer < 0 {
			if had.Equal(has) {
				continue
			}
			other := is.allows(pair.after)
			cut, opened = had.Minus(has).Intersect(other), has.Minus(had).Intersect(other)
		} else {
			had, has = had.Intersect(was.allows(pair.before)), has.Intersect(is.allows(pair.after))
			cut, opened = had.Minus(has), has.Minus(had)
		}
		if !cut.Empty() || !opened.Empty() {
			r.visit(&Pair{Touched: i, Direction: d, Peer: pair.after.Workload, Cut: cut, Opened: opened})
		}
	}
}

// find gives the number of the workload among the touched ones, or a negative number.
func (r *changes) find(w *cluster.Workload) int {
	for _, i := range r.named[workloadName{w.Namespace, w.Kind, w.Name}] {
		if r.touched[i].After.Same(w) {
			return i
		}
	}
	return none
}
