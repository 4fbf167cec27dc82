package render

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const outsideTitle = "outside the cluster"

// mapBuilder gathers what joins a namespace with the rest. It holds each peer alone only while they are few, so that its size
// does not grow with the cluster's.
type mapBuilder struct {
	n     *connectivity.Neighbourhood
	m     *Map
	own   map[identity]*mapBox // by node; of those that are not drawn, the box that stands for them
	keys  map[string]string    // how flows may call a node -> its box's key
	sides [3]mapSide           // but for the middle
	// inside are the connections between nodes of the namespace, and whole counts those on all ports.
	inside mapJoins
	whole  int
	added  int // boxes that only flows have asked for
}

// mapSide is what is at one side of the namespace.
type mapSide struct {
	peers    map[identity]*connectivity.Node // at most maxPeers+1
	byPeer   map[identity]mapJoins
	bySpace  map[string]mapJoins
	everyone mapJoins
	outside  map[string]mapJoins // by addresses in words
}

// mapJoins are the ports by which boxes of the namespace are joined with one end.
type mapJoins map[[2]*mapBox]connectivity.Ports

func (j mapJoins) add(from, to *mapBox, ports connectivity.Ports) {
	key := [2]*mapBox{from, to}
	j[key] = j[key].Union(ports)
}

func newMapBuilder(n *connectivity.Neighbourhood) *mapBuilder {
	b := &mapBuilder{n: n, m: &Map{}, own: map[identity]*mapBox{}, keys: map[string]string{}, inside: mapJoins{}}
	for i := range b.sides {
		b.m.byKey[i] = map[string]*mapBox{}
		b.sides[i] = mapSide{map[identity]*connectivity.Node{}, map[identity]mapJoins{}, map[string]mapJoins{}, mapJoins{}, map[string]mapJoins{}}
	}
	title := printable(n.Namespace)
	b.m.columns[middle] = []mapGroup{{title: title}}
	for i, node := range n.Nodes {
		if i < maxOwn || len(n.Nodes) == maxOwn+1 {
			b.own[identify(node)] = b.workload(middle, node)
			continue
		}
		name := count(len(n.Nodes)-maxOwn, "more workload")
		b.own[identify(node)] = b.m.box(middle, title, "more", mapBox{name: name, title: name + " of " + title, class: "many"})
		b.know(node, "more")
	}
	return b
}

// workload draws a node by itself.
func (b *mapBuilder) workload(column int, node *connectivity.Node) *mapBox {
	key := printable(node.Kind) + " " + printable(node.String())
	b.know(node, key)
	return b.m.box(column, printable(node.Namespace), key, workloadBox(node))
}

// know notes how flows may call a node: by its name, or by the label of its pods.
func (b *mapBuilder) know(node *connectivity.Node, key string) {
	names := []string{printable(node.String())}
	for _, w := range node.Workloads {
		names = append(names, printable(node.Namespace+"/"+w.Label()))
	}
	for _, name := range names {
		if _, taken := b.keys[name]; !taken {
			b.keys[name] = key
		}
	}
}

// row takes the edges of one node in one direction.
func (b *mapBuilder) row(d netpol.Direction, edges []connectivity.Edge) {
	if len(edges) == 0 {
		return
	}
	side := &b.sides[sideOf(d)]
	self, _ := ends(edges[0], d)
	own := b.own[identify(self.Node)]
	common, everyone := b.everyone(d, edges)
	if everyone {
		side.everyone.add(own, nil, common)
	}
	var outside portions
	for _, e := range edges {
		_, other := ends(e, d)
		switch {
		case other.Node == nil:
			outside = outside.with(other.Range, e.Ports)
		case other.Node.Namespace == b.n.Namespace:
			b.addInside(own, b.own[identify(other.Node)], e.Ports)
		case !everyone:
			side.add(own, other.Node, e.Ports)
		}
	}
	for _, p := range outside {
		joined(side.outside, p.addresses.String()).add(own, nil, p.ports)
	}
}

// everyone reports whether the edges join their node with all nodes of other namespaces, on the same ports.
func (b *mapBuilder) everyone(d netpol.Direction, edges []connectivity.Edge) (ports connectivity.Ports, all bool) {
	foreign := 0
	for _, e := range edges {
		_, other := ends(e, d)
		if other.Node == nil || other.Node.Namespace == b.n.Namespace {
			continue
		}
		if foreign++; foreign == 1 {
			ports = e.Ports
		} else if !ports.Equal(e.Ports) {
			return ports, false
		}
	}
	return ports, foreign == b.n.Others && foreign > 3
}

func (b *mapBuilder) addInside(from, to *mapBox, ports connectivity.Ports) {
	if ports.All() {
		b.whole++
	}
	if from != to {
		b.inside.add(from, to, ports)
	}
}

func (s *mapSide) add(own *mapBox, other *connectivity.Node, ports connectivity.Ports) {
	joined(s.bySpace, other.Namespace).add(own, nil, ports)
	if _, known := s.peers[identify(other)]; !known && len(s.peers) > maxPeers {
		return
	}
	s.peers[identify(other)] = other
	joined(s.byPeer, identify(other)).add(own, nil, ports)
}

// joined gives the joins of a key, made if need be.
func joined[K comparable](all map[K]mapJoins, key K) mapJoins {
	if all[key] == nil {
		all[key] = mapJoins{}
	}
	return all[key]
}

// place makes boxes and lines of what was gathered.
func (b *mapBuilder) place() {
	for _, d := range netpol.Directions {
		b.placeSide(sideOf(d))
	}
	if n := len(b.n.Nodes); n > 3 && b.whole == n*(n-1) {
		b.m.Notes = append(b.m.Notes, "Inside the namespace every workload reaches every other on all ports; those lines are left out.")
		return
	}
	drawn := 0
	for _, key := range b.sorted(b.inside) {
		if drawn++; drawn <= maxInside {
			b.m.join(key[0], key[1], middle, middle, b.inside[key].String(), kept)
		}
	}
	if left := drawn - maxInside; left > 0 {
		b.m.Notes = append(b.m.Notes, count(left, "more connection")+" inside the namespace not drawn.")
	}
}

func (b *mapBuilder) placeSide(side int) {
	s := &b.sides[side]
	if len(s.everyone) > 0 {
		name := "all " + count(b.n.Others, "other workload")
		b.connect(side, b.m.box(side, "the cluster", "all", mapBox{name: name, detail: "of all other namespaces", title: name, class: "many"}), s.everyone)
	}
	if len(s.peers) <= maxPeers {
		for _, node := range slices.SortedFunc(maps.Values(s.peers), compareNodes) {
			b.connect(side, b.workload(side, node), s.byPeer[identify(node)])
		}
	} else {
		b.placeSpaces(side)
	}
	for i, text := range slices.Sorted(maps.Keys(s.outside)) {
		if i == maxPeers {
			b.m.Notes = append(b.m.Notes, count(len(s.outside)-i, "more set")+" of addresses outside the cluster not drawn.")
			break
		}
		b.connect(side, b.m.box(side, outsideTitle, text, mapBox{name: text, title: text, class: "address"}), s.outside[text])
	}
}

// placeSpaces draws the namespaces of a side, and what is too much as one.
func (b *mapBuilder) placeSpaces(side int) {
	all := slices.Sorted(maps.Keys(b.sides[side].bySpace))
	for i, space := range all {
		name, title, key := printable(space), "namespace "+printable(space), "namespace "+printable(space)
		if i >= maxPeers && len(all) > maxPeers+1 {
			name = count(len(all)-maxPeers, "more namespace")
			title, key = name, "more"
		}
		b.connect(side, b.m.box(side, "namespaces", key, mapBox{name: name, title: title, class: "many"}), b.sides[side].bySpace[space])
	}
}

// connect draws what joins the namespace's boxes with one at a side.
func (b *mapBuilder) connect(side int, box *mapBox, joins mapJoins) {
	for _, key := range b.sorted(joins) {
		if side == sources {
			b.m.join(box, key[0], sources, middle, joins[key].String(), kept)
		} else {
			b.m.join(key[0], box, middle, targets, joins[key].String(), kept)
		}
	}
}

// sorted gives the keys of joins in the order of the namespace's boxes.
func (b *mapBuilder) sorted(joins mapJoins) [][2]*mapBox {
	place := map[*mapBox]int{}
	for i, box := range b.m.columns[middle][0].boxes {
		place[box] = i
	}
	return slices.SortedFunc(maps.Keys(joins), func(x, y [2]*mapBox) int {
		return cmp.Or(cmp.Compare(place[x[0]], place[y[0]]), cmp.Compare(place[x[1]], place[y[1]]))
	})
}

// sideOf says at which side those are with whom a node is joined in direction d.
func sideOf(d netpol.Direction) int {
	if d == netpol.Ingress {
		return sources
	}
	return targets
}

// ends gives the node's own end of an edge and the other one.
func ends(e connectivity.Edge, d netpol.Direction) (own, other connectivity.Endpoint) {
	if d == netpol.Ingress {
		return e.To, e.From
	}
	return e.From, e.To
}
