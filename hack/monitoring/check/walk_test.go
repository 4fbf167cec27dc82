package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/reference"
)

// ofTargets are the labels that Prometheus adds to whatever it scrapes.
var ofTargets = []string{"instance", "job"}

// walker finds in expressions what no metric has.
type walker struct {
	metrics map[string]reference.Metric
	// recorded gives the labels of what recording rules make.
	recorded map[string][]string
	used     map[string]bool
	problems []string
}

func newWalker() *walker {
	w := &walker{metrics: map[string]reference.Metric{}, recorded: map[string][]string{}, used: map[string]bool{}}
	for _, m := range reference.All() {
		w.metrics[m.Name] = m
	}
	return w
}

func (w *walker) complain(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// expression parses and walks an expression and gives the labels that its result can have.
func (w *walker) expression(text string) []string {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		w.complain("%v", err)
		return nil
	}
	return w.labels(expr)
}

func (w *walker) labels(node parser.Node) []string {
	switch n := node.(type) {
	case *parser.VectorSelector:
		return w.selector(n)
	case *parser.AggregateExpr:
		inner := w.labels(n.Expr)
		w.subset("grouping", n.Grouping, inner)
		switch {
		case n.Op == parser.TOPK || n.Op == parser.BOTTOMK:
			return inner
		case n.Without:
			return slices.DeleteFunc(slices.Clone(inner), func(l string) bool { return slices.Contains(n.Grouping, l) })
		}
		return n.Grouping
	case *parser.BinaryExpr:
		left, right := w.labels(n.LHS), w.labels(n.RHS)
		if m := n.VectorMatching; m != nil && m.On {
			w.subset("on, left", m.MatchingLabels, left)
			w.subset("on, right", m.MatchingLabels, right)
		}
		switch {
		case n.Op == parser.LOR:
			return append(slices.Clone(left), right...)
		case n.LHS.Type() == parser.ValueTypeScalar:
			return right
		}
		return left
	case *parser.Call:
		var out []string
		for _, arg := range n.Args {
			out = append(out, w.labels(arg)...)
		}
		if n.Func.Name == "label_replace" {
			w.subset("label_replace", []string{n.Args[3].(*parser.StringLiteral).Val}, out)
			out = append(out, n.Args[1].(*parser.StringLiteral).Val)
		}
		if n.Func.Name == "histogram_quantile" {
			w.subset("histogram_quantile", []string{"le"}, out)
			out = slices.DeleteFunc(out, func(l string) bool { return l == "le" })
		}
		return out
	}
	var out []string
	for child := range parser.ChildrenIter(node) {
		out = append(out, w.labels(child)...)
	}
	return out
}

// selector checks the name of a metric, its labels, and their values where those are a closed set.
func (w *walker) selector(s *parser.VectorSelector) []string {
	w.used[s.Name] = true
	if out, recorded := w.recorded[s.Name]; recorded {
		return out
	}
	m, out := w.metric(s.Name)
	if m.Name == "" {
		w.complain("no metric is called %s", s.Name)
		return nil
	}
	for _, matcher := range s.LabelMatchers {
		if matcher.Name == string(model.MetricNameLabel) {
			continue
		}
		if !slices.Contains(out, matcher.Name) {
			w.complain("%s has no label %s", s.Name, matcher.Name)
		}
		if l, found := reference.LabelOf(m.Name, matcher.Name); found && l.Values != nil && strings.HasPrefix(m.Name, "bulkhead_") && matcher.Value != ".*" {
			w.subset("values of "+matcher.Name, strings.Split(matcher.Value, "|"), l.Values)
		}
	}
	return out
}

// metric finds a metric by the name of one of its series, and its labels.
func (w *walker) metric(series string) (reference.Metric, []string) {
	if m, found := w.metrics[series]; found && m.Type != reference.Histogram {
		return m, append(slices.Clone(m.Labels), ofTargets...)
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, is := strings.CutSuffix(series, suffix); is && w.metrics[base].Type == reference.Histogram {
			out := append(slices.Clone(w.metrics[base].Labels), ofTargets...)
			if suffix == "_bucket" {
				out = append(out, "le")
			}
			return w.metrics[base], out
		}
	}
	return reference.Metric{}, nil
}

func (w *walker) subset(what string, some, of []string) {
	for _, s := range some {
		if !slices.Contains(of, s) {
			w.complain("%s: %s is none of %v", what, s, of)
		}
	}
}
