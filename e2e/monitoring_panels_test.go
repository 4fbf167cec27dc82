package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
	"github.com/bulkhead-dev/bulkhead/hack/monitoring/reference"
)

// picturesEnv names a directory for what the panels have shown, which "go run ./hack/monitoring/picture" draws.
const picturesEnv = "BULKHEAD_PICTURES"

// shown is what a panel has shown.
type shown struct {
	Dashboard, Row string
	Panel          board.Panel
	// Results are those of the panel's queries.
	Results [][]series
}

// testPanels: each query of each panel has shown something in the course of the run, and in all series that its legend can name.
func (m *monitored) testPanels(t *testing.T) {
	span := fmt.Sprintf("%ds", int(time.Since(m.prometheus.begun).Seconds()))
	grafana := strings.NewReplacer("$__rate_interval", "5s", "$__range", span, "$guardrail", ".*", "[1h]", "["+span+"]")
	var all []shown
	for _, d := range board.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				s := shown{Dashboard: d.Title, Row: row.Title, Panel: p}
				for _, q := range p.Queries {
					result, err := m.prometheus.during(t.Context(), grafana.Replace(q.Expr))
					if err != nil {
						t.Errorf("%s, %s: %v", d.Title, p.Title, err)
					}
					if len(result) == 0 {
						t.Errorf("%s, %s: nothing was ever shown by %s", d.Title, p.Title, q.Expr)
					}
					s.Results = append(s.Results, result)
				}
				all = append(all, s)
			}
		}
	}
	dir := os.Getenv(picturesEnv)
	if dir == "" {
		return
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "panels.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// testRecordings: each recording rule has recorded something.
func (m *monitored) testRecordings(t *testing.T) {
	for _, g := range board.Rules(board.Production()).Groups {
		for _, r := range g.Rules {
			if r.Record == "" {
				continue
			}
			if result, err := m.prometheus.during(t.Context(), r.Record); err != nil || len(result) == 0 {
				t.Errorf("%s: %d series, %v", r.Record, len(result), err)
			}
		}
	}
}

// panics has no series before a guardrail panics in the audit, which none is known to do.
const panics = "bulkhead_audit_guardrail_failures_total"

// added are the labels that Prometheus or this test's scrape configs add.
var added = []string{"__name__", "instance", "job", "namespace", "le"}

// testReference compares what was scraped with the reference: each metric is there with its type, its labels and their values.
func (m *monitored) testReference(t *testing.T) {
	data, err := m.prometheus.get(t.Context(), "/api/v1/metadata", nil)
	if err != nil {
		t.Fatal(err)
	}
	var types map[string][]struct{ Type string }
	if err := json.Unmarshal(data, &types); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, metric := range reference.All() {
		family := metric.Name // which in OpenMetrics, the format that Prometheus asks for, is without _total
		if _, has := types[family]; !has {
			family = strings.TrimSuffix(family, "_total")
		}
		known[family] = true
		name := metric.Name
		if metric.Type == reference.Histogram {
			name += "_bucket"
		}
		if name == panics {
			continue
		}
		result, err := m.prometheus.during(t.Context(), name)
		if err != nil || len(result) == 0 {
			t.Errorf("%s was never scraped: %v", name, err)
			continue
		}
		m.wantLabels(t, metric, result)
		if name == "up" {
			continue // Prometheus' own has no type
		}
		if got := types[family]; len(got) == 0 {
			t.Errorf("%s has no type", metric.Name)
		}
		for _, got := range types[family] { // one for each text that somebody explains it with
			if got.Type != metric.Type {
				t.Errorf("%s is of type %s, the reference says %s", metric.Name, got.Type, metric.Type)
			}
		}
	}
	for name := range types {
		if strings.HasPrefix(name, "bulkhead_") && !known[name] {
			t.Errorf("%s is exported and not in the reference", name)
		}
	}
}

// wantLabels compares the labels of series with the reference.
func (m *monitored) wantLabels(t *testing.T, metric reference.Metric, result []series) {
	t.Helper()
	for _, s := range result {
		for name, value := range s.Metric {
			if !slices.Contains(metric.Labels, name) {
				if !slices.Contains(added, name) {
					t.Errorf("%s has a label %s that the reference lacks", metric.Name, name)
				}
				continue
			}
			l, found := reference.LabelOf(metric.Name, name)
			if found && l.Values != nil && strings.HasPrefix(metric.Name, "bulkhead_") && !slices.Contains(l.Values, value) {
				t.Errorf("%s has %s=%q, which is none of %v", metric.Name, name, value, l.Values)
			}
		}
		for _, name := range metric.Labels {
			if _, has := s.Metric[name]; !has {
				t.Errorf("%s lacks the label %s of the reference", metric.Name, name)
				break
			}
		}
	}
}
