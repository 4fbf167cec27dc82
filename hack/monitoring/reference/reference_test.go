package reference

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestDescIsRead(t *testing.T) {
	d := prometheus.NewDesc("a_b_seconds", `of "quotes" and {braces}`, []string{"x", "y"}, prometheus.Labels{"version": `v"1,`, "arch": "z"})
	got, err := parseDesc(d.String())
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "a_b_seconds" || got.Meaning != `of "quotes" and {braces}` || !slices.Equal(got.Labels, []string{"arch", "version", "x", "y"}) {
		t.Errorf("got %+v", got)
	}
	if got.Unit() != "seconds" {
		t.Errorf("unit %q", got.Unit())
	}
	if _, err := parseDesc("Desc{}"); err == nil {
		t.Error("another form is taken")
	}
}

// TestKnown: a few whose type is told in different ways.
func TestKnown(t *testing.T) {
	for name, want := range map[string]Metric{
		"bulkhead_decisions_total":            {Type: Counter, Labels: []string{"decision", "resource", "operation", "dry_run"}},
		"bulkhead_guardrail_overruns_running": {Type: Gauge},
		"bulkhead_evaluation_seconds":         {Type: Histogram},
		"bulkhead_config_info":                {Type: Gauge, Labels: []string{"hash", "maximum_action"}},
		"bulkhead_build_info":                 {Type: Gauge, Labels: []string{"version"}},
		"bulkhead_snapshot_age_seconds":       {Type: Gauge, Labels: []string{"resource"}},
		"bulkhead_audit_leader":               {Type: Gauge},
		"bulkhead_audit_reports_total":        {Type: Counter, Labels: []string{"result"}},
	} {
		all := All()
		at := slices.IndexFunc(all, func(m Metric) bool { return m.Name == name })
		if at < 0 {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := all[at]; got.Type != want.Type || !slices.Equal(got.Labels, want.Labels) {
			t.Errorf("%s is %s %q, want %s %q", name, got.Type, got.Labels, want.Type, want.Labels)
		}
	}
}

// TestEverythingIsSaid: each metric has a meaning, each label of Bulkhead's own a description, and none is described for nothing.
func TestEverythingIsSaid(t *testing.T) {
	used := map[[2]string]bool{}
	names := map[string]bool{}
	for _, m := range All() {
		if names[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		names[m.Name] = true
		if !strings.HasSuffix(m.Meaning, ".") {
			t.Errorf("%s: its meaning %q is no sentence", m.Name, m.Meaning)
		}
		if !strings.HasPrefix(m.Name, "bulkhead_") {
			continue
		}
		for _, name := range m.Labels {
			l, found := LabelOf(m.Name, name)
			if !found {
				t.Errorf("nothing says what the label %s of %s holds", name, m.Name)
			}
			used[[2]string{l.Name, l.Of}] = true
		}
	}
	for _, l := range Labels() {
		if !used[[2]string{l.Name, l.Of}] {
			t.Errorf("no metric has the label %s %s", l.Name, l.Of)
		}
	}
}
