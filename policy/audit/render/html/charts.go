package html

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Funcs are what the templates of the page and of the console use besides their data.
func Funcs() template.FuncMap {
	return template.FuncMap{
		"bar": bar, "part": func(class string, n int) Part { return Part{class, n} }, "number": Number, "plural": plural, "percent": percent,
		"ingress": func() int { return int(netpol.Ingress) }, "egress": func() int { return int(netpol.Egress) },
		"lower": strings.ToLower, "add": func(a, b int) int { return a + b },
	}
}

// Part is one part of a bar: Class is the name of its colour in the stylesheet.
type Part struct {
	Class string
	N     int
}

// bar draws parts of a whole side by side, as wide as there is room. It is hidden from screen readers: the numbers that it
// shows stand beside it. Where the whole is zero the bar is empty.
func bar(whole int, parts ...Part) template.HTML {
	var b strings.Builder
	b.WriteString(`<svg class="bar" width="100%" height="8" aria-hidden="true" focusable="false"><rect class="trough" width="100%" height="8" rx="4"/>`)
	done := 0
	for _, p := range parts {
		if p.N <= 0 || whole <= 0 {
			continue
		}
		fmt.Fprintf(&b, `<rect class="fill %s" x="%s%%" width="%s%%" height="8" rx="%d"/>`,
			template.HTMLEscapeString(p.Class), share(done, whole), share(p.N, whole), roundness(len(parts)))
		done += p.N
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // numbers, and names of colours
}

func roundness(parts int) int {
	if parts == 1 {
		return 4
	}
	return 1
}

// share gives a hundredth part with two digits, so that thin parts stay visible.
func share(n, whole int) string {
	return strconv.FormatFloat(float64(n)*100/float64(whole), 'f', 2, 64)
}

// percent writes a share in whole percent, where "100%" means all and "0%" none at all.
func percent(n, whole int) string {
	if whole == 0 {
		return "–"
	}
	p := (n*100 + whole/2) / whole
	switch {
	case p == 0 && n > 0:
		return "<1%"
	case p == 100 && n < whole:
		return ">99%"
	}
	return strconv.Itoa(p) + "%"
}

// Number writes a number with its thousands apart: "12,345".
func Number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes a count with its noun, thousands apart.
func plural(n int, noun string) string {
	_, words, _ := strings.Cut(policy.Plural(n, noun), " ")
	return Number(n) + " " + words
}

// Column is one column of the table of namespaces.
type Column struct {
	// Title is the head; Short is what it is where there is little room, empty for the same.
	Title, Hint string
	Numeric     bool
}

func columns() []Column {
	return []Column{
		{"Namespace", "", false},
		{"Default-deny", "whether one policy isolates every pod and admits nothing", true},
		{"Pods", "that policies apply to", true},
		{"Ingress isolated", "share of the pods", true},
		{"Egress isolated", "share of the pods", true},
		{"No DNS", "pods isolated for egress that reach no resolver", true},
		{"Policies", "and those that select nothing", true},
		{"Violations", "by stored objects", true},
	}
}
