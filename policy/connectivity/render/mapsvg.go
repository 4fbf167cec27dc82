package render

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
)

// The measures of a map, in pixels.
const (
	boxWidth, boxHeight  = 232.0, 38.0
	boxGap, groupGap     = 8.0, 14.0
	groupPad, groupTitle = 10.0, 26.0
	columnGap            = 168.0
	insideRoom           = 84.0 // at the right of the middle, for the lines inside the namespace
	nameLimit            = 30   // characters that fit into a box
)

// layout gives every box its place. Columns are as high as what they hold and stand around one middle line.
func (m *Map) layout() {
	heights := [3]float64{}
	for c := range m.columns {
		for i := range m.columns[c] {
			g := &m.columns[c][i]
			g.h = groupTitle + groupPad + float64(len(g.boxes))*(boxHeight+boxGap) - boxGap
			if len(g.boxes) == 0 {
				g.h = groupTitle + groupPad
			}
			heights[c] += g.h + groupGap
		}
		m.height = max(m.height, heights[c])
	}
	for c := range m.columns {
		y := (m.height - heights[c]) / 2
		for i := range m.columns[c] {
			g := &m.columns[c][i]
			g.y = y
			for k, box := range g.boxes {
				box.x, box.y = columnX(c)+groupPad, y+groupTitle+float64(k)*(boxHeight+boxGap)
			}
			y += g.h + groupGap
		}
	}
	m.width = columnX(targets) + columnWidth(targets)
}

func columnWidth(column int) float64 {
	if column == middle {
		return boxWidth + 2*groupPad + insideRoom
	}
	return boxWidth + 2*groupPad
}

func columnX(column int) float64 {
	x := 0.0
	for c := range column {
		x += columnWidth(c) + columnGap
	}
	return x
}

// SVG draws the map, for a page whose stylesheet knows its classes: colours are not in it, and what is cut and opened differs
// by its stroke and its sign, too. The caller gives the map its words: the drawing is one image to a screen reader, labelled
// label, and Lines say the same in a table.
func (m *Map) SVG(label string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="map" role="img" aria-label="%s" viewBox="-2 -2 %s %s" width="%s" height="%s">`,
		escape(printable(label)), num(m.width+4), num(m.height+4), num(m.width+4), num(m.height+4))
	b.WriteString(`<defs>`)
	for _, kind := range []string{"kept", "cut", "opened"} {
		fmt.Fprintf(&b, `<marker id="head-%s" viewBox="0 0 8 8" refX="7.4" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">`+
			`<path class="head %s" d="M0 .6 7.6 4 0 7.4 1.8 4Z"/></marker>`, kind, kind)
	}
	b.WriteString(`</defs>`)
	for c := range m.columns {
		for i := range m.columns[c] {
			writeGroup(&b, c, &m.columns[c][i])
		}
	}
	for _, f := range []fate{kept, opened, cut} {
		for i := range m.lines {
			if m.lines[i].fate == f {
				writeLine(&b, &m.lines[i])
			}
		}
	}
	for c := range m.columns {
		for i := range m.columns[c] {
			for _, box := range m.columns[c][i].boxes {
				writeBox(&b, box)
			}
		}
	}
	m.writeSigns(&b)
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // all text in it is escaped
}

func writeGroup(b *strings.Builder, column int, g *mapGroup) {
	class := "group"
	if column == middle {
		class = "group own"
	}
	fmt.Fprintf(b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="12"/><text class="grouptitle" x="%s" y="%s">%s</text>`,
		class, num(columnX(column)), num(g.y), num(columnWidth(column)), num(g.h), num(columnX(column)+groupPad+2), num(g.y+17), escape(short(g.title, 40)))
}

func writeBox(b *strings.Builder, box *mapBox) {
	fmt.Fprintf(b, `<g class="box %s"><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" rx="8"/>`,
		box.class, escape(box.title), num(box.x), num(box.y), num(boxWidth), num(boxHeight))
	if box.class == "ingress" || box.class == "closed" {
		fmt.Fprintf(b, `<path class="wall" d="M%s %sv%s"/>`, num(box.x+2.5), num(box.y+6), num(boxHeight-12))
	}
	if box.class == "egress" || box.class == "closed" {
		fmt.Fprintf(b, `<path class="wall" d="M%s %sv%s"/>`, num(box.x+boxWidth-2.5), num(box.y+6), num(boxHeight-12))
	}
	nameY := box.y + 23
	if box.detail != "" {
		nameY = box.y + 16
		fmt.Fprintf(b, `<text class="detail" x="%s" y="%s">%s</text>`, num(box.x+12), num(box.y+30), escape(short(box.detail, nameLimit+6)))
	}
	fmt.Fprintf(b, `<text class="name" x="%s" y="%s">%s</text></g>`, num(box.x+12), num(nameY), escape(short(box.name, nameLimit)))
}

func writeLine(b *strings.Builder, l *mapLine) {
	kind := fateClass(l.fate)
	if kind == "" {
		kind = "kept"
	}
	path, _, _ := route(l)
	fmt.Fprintf(b, `<path class="line %s" d="%s" marker-end="url(#head-%s)"><title>%s</title></path>`, kind, path, kind,
		escape(strings.TrimSpace(fateClass(l.fate)+" "+l.from.title+" → "+l.to.title+": "+l.ports)))
}

// route leads a line from the right of one box to the left of another, or inside the namespace by a bow at the right. What is
// cut bows up and what is opened down, so that both are seen between the same two boxes. It gives the place of the sign, too.
func route(l *mapLine) (path string, x, y float64) {
	bow := [...]float64{0, -12, 12}[l.fate]
	x1, y1 := l.from.x+boxWidth, l.from.y+boxHeight/2
	x2, y2 := l.to.x, l.to.y+boxHeight/2
	if l.fromColumn == l.toColumn {
		x2 = l.to.x + boxWidth
		y1, y2 = y1-5, y2+5
		reach := min(26+abs(y2-y1)*0.22, insideRoom-14) * 4 / 3
		return curve(x1, y1, x1+reach, y1, x2+reach, y2, x2, y2), x1 + reach*0.75, (y1 + y2) / 2
	}
	bend := max((x2-x1)/2, 40)
	return curve(x1, y1, x1+bend, y1+bow, x2-bend, y2+bow, x2, y2), (x1 + x2) / 2, (y1+y2)/2 + bow*0.75
}

func curve(x1, y1, c1, d1, c2, d2, x2, y2 float64) string {
	return "M" + num(x1) + " " + num(y1) + "C" + num(c1) + " " + num(d1) + " " + num(c2) + " " + num(d2) + " " + num(x2) + " " + num(y2)
}

// writeSigns marks what is cut and opened with a sign and its ports, apart from each other.
func (m *Map) writeSigns(b *strings.Builder) {
	taken := map[[2]int]bool{}
	for _, f := range []fate{cut, opened} {
		for i := range m.lines {
			l := &m.lines[i]
			if l.fate != f {
				continue
			}
			_, x, y := route(l)
			for taken[[2]int{int(x / 60), int(y / 20)}] {
				y += 20
			}
			taken[[2]int{int(x / 60), int(y / 20)}] = true
			text := [...]string{"", "✕ ", "+ "}[f] + short(l.ports, 16)
			w := float64(len([]rune(text)))*6.6 + 14
			fmt.Fprintf(b, `<g class="sign %s"><rect x="%s" y="%s" width="%s" height="18" rx="9"/><text x="%s" y="%s" text-anchor="middle">%s</text></g>`,
				fateClass(f), num(x-w/2), num(y-9), num(w), num(x), num(y+4), escape(text))
		}
	}
}

func escape(s string) string { return template.HTMLEscapeString(s) }

// num writes a measure with at most one decimal.
func num(f float64) string { return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") }

func abs(f float64) float64 { return max(f, -f) }

// short cuts a name in its middle: names that begin alike often end differently.
func short(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	head := most * 3 / 5
	return string(r[:head]) + "…" + string(r[len(r)-(most-head-1):])
}
