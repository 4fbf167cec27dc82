package check

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
)

// grafana stands in for what Grafana puts into the queries of a dashboard.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1d", "$guardrail", ".*")

// named finds the labels in a legend and in an annotation.
var (
	inLegend     = regexp.MustCompile(`\{\{(\w+)\}\}`)
	inAnnotation = regexp.MustCompile(`\$labels\.(\w+)`)
)

func namedIn(form *regexp.Regexp, text string) []string {
	var out []string
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestNames: every expression parses, and names metrics, labels and values that there are.
func TestNames(t *testing.T) {
	w := newWalker()
	report := func(where string) {
		for _, p := range w.problems {
			t.Errorf("%s: %s", where, p)
		}
		w.problems = nil
	}
	for _, g := range board.Rules(board.Production()).Groups {
		for _, r := range g.Rules {
			has := w.expression(r.Expr)
			w.subset("annotations", namedIn(inAnnotation, r.Annotations["description"]+r.Annotations["summary"]), has)
			report(r.Record + r.Alert)
			if r.Record != "" {
				w.recorded[r.Record] = has
			}
		}
	}
	for _, d := range board.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, q := range p.Queries {
					w.subset("legend", namedIn(inLegend, q.Legend), w.expression(grafana.Replace(q.Expr)))
				}
				report(d.Title + ": " + p.Title)
			}
		}
	}
	// The time is for whoever wonders since when; the panels beside it say what is in force.
	const unseen = "bulkhead_config_last_reload_success_timestamp_seconds"
	for name, m := range w.metrics {
		if seen := w.used[name] || w.used[name+"_bucket"]; !seen && name != unseen && strings.HasPrefix(m.Name, "bulkhead_") {
			t.Errorf("no panel and no rule shows %s", name)
		}
	}
}

// TestNamesAreFound: the check finds what is wrong.
func TestNamesAreFound(t *testing.T) {
	for expr, want := range map[string]string{
		`bulkhead_decisions`:                                       "no metric is called bulkhead_decisions",
		`bulkhead_evaluation_seconds`:                              "no metric is called bulkhead_evaluation_seconds",
		`bulkhead_decisions_total{verdict="denied"}`:               "bulkhead_decisions_total has no label verdict",
		`bulkhead_decisions_total{decision="refused"}`:             "values of decision: refused is none of",
		`bulkhead_decisions_total{decision=~"allowed|refused"}`:    "values of decision: refused is none of",
		`sum by (namespace) (bulkhead_decisions_total)`:            "grouping: namespace is none of",
		`sum by (guardrail) (sum(bulkhead_violations_total))`:      "grouping: guardrail is none of",
		`up / on (guardrail) up`:                                   "on, left: guardrail is none of",
		`histogram_quantile(0.5, bulkhead_evaluation_seconds_sum)`: "histogram_quantile: le is none of",
		`sum(`: "unclosed left parenthesis",
	} {
		w := newWalker()
		w.expression(expr)
		if got := strings.Join(w.problems, "; "); !strings.Contains(got, want) {
			t.Errorf("%s\ngives %q\nwant  %q", expr, got, want)
		}
	}
}
