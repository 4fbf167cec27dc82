package render

import (
	"fmt"
	"strings"
)

// flows draws what a change would cut or open over what is there. An end that is not drawn yet gets a box of its own.
func (b *mapBuilder) flows(flows []Flow, f fate) {
	left := 0
	for _, flow := range flows {
		from, fromColumn := b.endOf(flow.From, sources, b.isOwn(flow.To))
		to, toColumn := b.endOf(flow.To, targets, b.isOwn(flow.From))
		if from == nil || to == nil || from == to {
			left++
			continue
		}
		b.m.join(from, to, fromColumn, toColumn, printable(flow.Ports), f)
	}
	if left > 0 {
		b.m.Notes = append(b.m.Notes, fmt.Sprintf("%s that the change would %s not drawn.", count(left, "more connection"), [...]string{"", "cut", "open"}[f]))
	}
}

// endOf gives the box of a flow's end: in the middle where it is of the namespace, else at its side. It is nil where there
// are too many that nothing else has drawn.
func (b *mapBuilder) endOf(name string, side int, otherOwn bool) (*mapBox, int) {
	name = printable(name)
	bare, _, _ := strings.Cut(name, " (+")
	namespace, rest, found := strings.Cut(name, "/")
	for _, key := range []string{b.keys[bare], bare, "namespace " + namespace} {
		if box := b.m.byKey[middle][key]; box != nil {
			return box, middle
		}
		if box := b.m.byKey[side][key]; box != nil {
			return box, side
		}
	}
	if b.added == maxFateEnds {
		return nil, 0
	}
	b.added++
	switch {
	case b.isOwn(name):
		return b.m.box(middle, printable(b.n.Namespace), bare, mapBox{name: rest, title: name, class: "unknown"}), middle
	case !otherOwn:
		return b.m.box(side, "elsewhere", bare, mapBox{name: name, title: name, class: "unknown"}), side
	case !found || strings.ContainsAny(namespace, ".: "):
		return b.m.box(side, outsideTitle, bare, mapBox{name: name, title: name, class: "address"}), side
	}
	return b.m.box(side, namespace, bare, mapBox{name: rest, title: name, class: "unknown"}), side
}

// isOwn reports whether a flow's end is of the namespace.
func (b *mapBuilder) isOwn(name string) bool {
	namespace, _, found := strings.Cut(name, "/")
	return found && namespace == b.n.Namespace
}
