package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// line is one series with its legend.
type line struct {
	name   string
	points []point
}

type point struct{ at, value float64 }

// last is the value at the end; there is at least one.
func (l *line) last() float64 { return l.points[len(l.points)-1].value }

var placeholder = regexp.MustCompile(`\{\{(\w+)\}\}`)

// linesOf gives the series of all queries of a panel, by name.
func linesOf(s *shown) []line {
	var out []line
	for i, result := range s.Results {
		for _, r := range result {
			l := line{name: placeholder.ReplaceAllStringFunc(s.Panel.Queries[i].Legend, func(found string) string {
				return r.Metric[strings.Trim(found, "{}")]
			})}
			for _, v := range r.Values {
				at, _ := v[0].(float64)
				text, _ := v[1].(string)
				if value, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(value) && !math.IsInf(value, 0) {
					l.points = append(l.points, point{at, value})
				}
			}
			if len(l.points) > 0 {
				out = append(out, l)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b line) int { return cmp.Compare(a.name, b.name) })
	return out
}

// spanOf gives when the first and the last value of all panels were.
func spanOf(all []shown) (from, to float64) {
	from, to = math.Inf(1), math.Inf(-1)
	for i := range all {
		for _, l := range linesOf(&all[i]) {
			from, to = min(from, l.points[0].at), max(to, l.points[len(l.points)-1].at)
		}
	}
	return from, to
}

// format writes a value in a unit of Grafana's.
func format(v float64, unit string) string {
	switch unit {
	case "percentunit":
		return trim(v*100, 0) + "%"
	case "bytes":
		return trim(v/(1<<20), 0) + " MiB"
	case "reqps":
		return trim(v, 1) + "/s"
	case "s":
		return duration(v)
	}
	if v != math.Trunc(v) {
		return trim(v, 2)
	}
	return trim(v, 0)
}

func trim(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

func duration(v float64) string {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"days", 86400}, {"hours", 3600}, {"min", 60}, {"s", 1}, {"ms", 1e-3}} {
		if math.Abs(v) >= unit.seconds {
			return fmt.Sprintf("%.3g %s", v/unit.seconds, unit.name)
		}
	}
	return fmt.Sprintf("%.2g µs", v*1e6)
}

// cells joins the results of a table by their labels: the names of the labels, and for each line the labels and a value a query.
func cells(s *shown) (labels []string, rows [][]string) {
	type key string
	has := map[string]bool{}
	values := map[key][]string{}
	of := map[key]map[string]string{}
	for i, result := range s.Results {
		for _, r := range result {
			if len(r.Values) == 0 {
				continue
			}
			k := key(fmt.Sprint(r.Metric))
			for name := range r.Metric {
				has[name] = true
			}
			if values[k] == nil {
				values[k], of[k] = make([]string, len(s.Results)), r.Metric
			}
			text, _ := r.Values[len(r.Values)-1][1].(string)
			if v, err := strconv.ParseFloat(text, 64); err == nil {
				values[k][i] = format(v, s.Panel.Unit)
			}
		}
	}
	labels = slices.Sorted(maps.Keys(has))
	for _, k := range slices.Sorted(maps.Keys(values)) {
		var row []string
		for _, name := range labels {
			row = append(row, of[k][name])
		}
		rows = append(rows, append(row, values[k]...))
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return cmp.Compare(number(b[len(labels)]), number(a[len(labels)])) })
	return labels, rows
}

// number reads a cell; what is none counts as 0.
func number(cell string) float64 {
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		return 0
	}
	return v
}
