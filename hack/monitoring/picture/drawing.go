package main

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
)

var colours = []string{"#5794f2", "#73bf69", "#f2cc0c", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#fade2a", "#8ab8ff", "#c4162a", "#1f60c4", "#a352cc"}

// colour is that of the series of a number.
func colour(i int) string { return colours[i%len(colours)] }

func stat(p *board.Panel, lines []line) template.HTML {
	text, shade := "none", "#24292e"
	if len(lines) > 0 {
		v := lines[0].last()
		text = format(v, p.Unit)
		if word, has := p.Words[text]; has {
			text = word
		}
		shade = judged(p, v)
	}
	return template.HTML(fmt.Sprintf(`<div class="stat" style="color:%s">%s</div>`, shade, template.HTMLEscapeString(text)))
}

// judged gives the colour that a stat has at a value.
func judged(p *board.Panel, v float64) string {
	const good, middling, bad, plain = "#37872d", "#e0b400", "#c4162a", "#24292e"
	switch {
	case p.Warn == 0 && p.Bad == 0:
		return plain
	case p.Bad < p.Warn && v < p.Bad, p.Bad >= p.Warn && v >= p.Bad:
		return bad
	case p.Bad < p.Warn && v < p.Warn, p.Bad >= p.Warn && v >= p.Warn:
		return middling
	}
	return good
}

func bars(p *board.Panel, lines []line) template.HTML {
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(b.last(), a.last()) })
	most := 0.0
	for i := range lines {
		most = math.Max(most, lines[i].last())
	}
	var b strings.Builder
	for i := range lines {
		v := lines[i].last()
		fmt.Fprintf(&b, `<div class="bar"><span>%s</span><span><b style="width:%.0f%%"></b></span><span>%s</span></div>`,
			template.HTMLEscapeString(lines[i].name), 100*v/math.Max(most, 1e-9), format(v, p.Unit))
	}
	return template.HTML(b.String())
}

func table(s *shown) template.HTML {
	labels, rows := cells(s)
	var b strings.Builder
	b.WriteString("<table><tr>")
	for _, l := range labels {
		fmt.Fprintf(&b, "<th>%s</th>", template.HTMLEscapeString(l))
	}
	for _, q := range s.Panel.Queries {
		fmt.Fprintf(&b, `<th class="n">%s</th>`, template.HTMLEscapeString(q.Legend))
	}
	b.WriteString("</tr>")
	for _, row := range rows {
		b.WriteString("<tr>")
		for i, cell := range row {
			class := ""
			if i >= len(labels) {
				class = ` class="n"`
			}
			fmt.Fprintf(&b, "<td%s>%s</td>", class, template.HTMLEscapeString(cell))
		}
		b.WriteString("</tr>")
	}
	b.WriteString("</table>")
	return template.HTML(b.String())
}

// The drawing of lines, in pixels.
const (
	left, right, top, bottom = 64, 8, 6, 18
	most                     = 12 // lines that the legend names
)

// plot maps values to places.
type plot struct {
	width, height      float64
	from, to, greatest float64
}

func (p *plot) x(at float64) float64 {
	return left + (at-p.from)/math.Max(p.to-p.from, 1)*(p.width-left-right)
}

func (p *plot) y(v float64) float64 { return p.height - bottom - v/p.greatest*(p.height-top-bottom) }

func chart(p *board.Panel, lines []line, from, to float64) template.HTML {
	if len(lines) == 0 {
		return "no data"
	}
	if p.Stacked {
		stack(lines)
	}
	area := plot{width: float64(p.Width)*58 - 26, height: float64(p.Height)*30 - 62, from: from, to: to, greatest: p.Most}
	for i := range lines {
		for _, at := range lines[i].points {
			area.greatest = math.Max(area.greatest, at.value)
		}
	}
	if area.greatest == 0 {
		area.greatest = 1
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%.0f" height="%.0f" font-size="10" fill="#586069">`, area.width, area.height)
	for i := range 4 {
		v := area.greatest * float64(i) / 3
		fmt.Fprintf(&b, `<line x1="%d" x2="%.0f" y1="%.1f" y2="%.1f" stroke="#e6e8ea"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, area.width-right, area.y(v), area.y(v), left-4, area.y(v)+3, format(v, p.Unit))
	}
	for at := area.from; at <= area.to; at += 30 {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="middle">%d:%02d</text>`, area.x(at), area.height-4, int(at-area.from)/60, int(at-area.from)%60)
	}
	for i := len(lines) - 1; i >= 0; i-- { // the sums of a stack are below what they are sums of
		area.line(&b, &lines[i], colour(i), p.Stacked)
	}
	if p.Axis != "" {
		fmt.Fprintf(&b, `<text transform="rotate(-90)" x="%.0f" y="10" text-anchor="middle">%s</text>`, -(area.height-bottom)/2, p.Axis)
	}
	b.WriteString("</svg>" + legend(lines))
	return template.HTML(b.String())
}

// line draws a series; a gap of more than two seconds ends a stroke.
func (p *plot) line(b *strings.Builder, l *line, shade string, filled bool) {
	for begin := 0; begin < len(l.points); {
		end := begin + 1
		for end < len(l.points) && l.points[end].at-l.points[end-1].at <= 2 {
			end++
		}
		var path []string
		for _, at := range l.points[begin:end] {
			path = append(path, fmt.Sprintf("%.1f,%.1f", p.x(at.at), p.y(at.value)))
		}
		fill, opacity := "none", 0.0
		if filled {
			path = append(path, fmt.Sprintf("%.1f,%.1f", p.x(l.points[end-1].at), p.y(0)), fmt.Sprintf("%.1f,%.1f", p.x(l.points[begin].at), p.y(0)))
			fill, opacity = shade, 0.75
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="%s" fill-opacity="%.2f" stroke="%s"/>`, strings.Join(path, " "), fill, opacity, shade)
		begin = end
	}
}

// stack adds to each series those before it.
func stack(lines []line) {
	sums := map[float64]float64{}
	for i := range lines {
		for j := range lines[i].points {
			at := &lines[i].points[j]
			sums[at.at] += at.value
			at.value = sums[at.at]
		}
	}
}

func legend(lines []line) string {
	var b strings.Builder
	b.WriteString(`<div class="legend">`)
	for i := range lines[:min(len(lines), most)] {
		fmt.Fprintf(&b, `<i style="background:%s"></i>%s`, colour(i), template.HTMLEscapeString(lines[i].name))
	}
	b.WriteString("</div>")
	return b.String()
}
