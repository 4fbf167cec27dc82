package check

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
)

// interval is how often the rules are evaluated here.
const interval = time.Minute

// shipped reads the rules as Prometheus reads the file.
func shipped(t *testing.T) []rules.Rule {
	t.Helper()
	text, err := board.Rules(board.Production()).YAML()
	if err != nil {
		t.Fatal(err)
	}
	p := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []rules.Rule
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			expr, err := p.ParseExpr(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			if r.Record != "" {
				out = append(out, rules.NewRecordingRule(r.Record, expr, labels.FromMap(r.Labels)))
				continue
			}
			out = append(out, rules.NewAlertingRule(r.Alert, expr, time.Duration(r.For), 0, labels.FromMap(r.Labels),
				labels.FromMap(r.Annotations), labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler)))
		}
	}
	return out
}

// firing evaluates the rules from time 0 to end, and of the alerts only the one of that name where there is one. It gives the alerts that
// fire then, each with its description.
func firing(t *testing.T, alert, series string, end time.Duration) map[string]string {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 30s\n"+series)
	t.Cleanup(func() { _ = storage.Close() })
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, promqltest.DefaultMaxSamplesPerQuery)
	loaded := slices.DeleteFunc(shipped(t), func(r rules.Rule) bool {
		a, is := r.(*rules.AlertingRule)
		return is && alert != "" && a.Name() != alert
	})
	group := rules.NewGroup(rules.GroupOptions{Name: "all", Interval: interval, Rules: loaded, Opts: &rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, storage), Appendable: storage, Queryable: storage, Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: slog.New(slog.DiscardHandler),
	}})
	for at := time.Duration(0); at <= end; at += interval {
		group.Eval(t.Context(), time.Unix(0, 0).Add(at))
	}
	out := map[string]string{}
	for _, r := range loaded {
		if err := r.LastError(); err != nil {
			t.Errorf("%s: %v", r.Name(), err)
		}
		a, is := r.(*rules.AlertingRule)
		if !is {
			continue
		}
		for _, active := range a.ActiveAlerts() {
			if active.State == rules.StateFiring {
				out[r.Name()] = active.Annotations.Get("description")
			}
		}
	}
	return out
}

// unitTest is an alert with what makes it fire and what does not.
type unitTest struct {
	// fires at that time with these series; description holds says.
	fires string
	at    time.Duration
	says  string
	// quiet are series with which it does not fire at that time either: the edge of what it is about.
	quiet string
}

// running is what makes no alert fire: one replica that has judged.
const running = `  bulkhead_evaluation_seconds_count{instance="a",job="bulkhead"} 0+10x400
  bulkhead_registration_problems{instance="a",job="bulkhead",webhook="networkpolicies.bulkhead.dev"} 0x400
  bulkhead_registration_timeout_seconds{instance="a",job="bulkhead",webhook="networkpolicies.bulkhead.dev"} 5x400
  up{instance="a",job="bulkhead"} 1x400
`

func TestAlerts(t *testing.T) {
	tests := unitTests()
	for _, a := range board.Alerts(board.Production()) {
		test, found := tests[a.Name]
		if !found {
			t.Errorf("%s has no test", a.Name)
			continue
		}
		delete(tests, a.Name)
		t.Run(a.Name, func(t *testing.T) {
			got := firing(t, a.Name, test.fires, test.at)
			if says, fires := got[a.Name]; !fires || !strings.Contains(says, test.says) {
				t.Errorf("fires: %t, %q, want %q", fires, says, test.says)
			}
			if says, fires := firing(t, a.Name, test.quiet, test.at)[a.Name]; fires {
				t.Errorf("fires without a reason: %s", says)
			}
		})
	}
	for name := range tests {
		t.Errorf("there is no alert %s", name)
	}
}

// TestQuiet: nothing fires where nothing is wrong, from the first minute on.
func TestQuiet(t *testing.T) {
	series := running + `  bulkhead_decisions_total{instance="a",decision="denied",dry_run="false"} 0x5 1+0x395
  bulkhead_snapshot_age_seconds{instance="a",resource="pods"} 10 40 70 20 50 80 30 60 90 10x390
  bulkhead_certificate_expiry_timestamp_seconds{instance="a"} 7000000x400
  bulkhead_config_last_reload_successful{instance="a"} 1x400
  apiserver_admission_webhook_rejection_count{instance="k",name="networkpolicies.bulkhead.dev",error_type="no_error"} 0+1x400
  apiserver_admission_webhook_fail_open_count{instance="k",name="networkpolicies.other.dev"} 0+1x400
`
	for _, at := range []time.Duration{time.Minute, 20 * time.Minute, 90 * time.Minute} {
		if got := firing(t, "", series, at); len(got) > 0 {
			t.Errorf("after %s: %v", at, got)
		}
	}
}

// TestAudienceOfAbsence: a cluster without Bulkhead's audit hears nothing of the audit.
func TestAudienceOfAbsence(t *testing.T) {
	for name := range firing(t, "", running, time.Hour) {
		if strings.HasPrefix(name, "BulkheadAudit") {
			t.Errorf("%s fires without an audit", name)
		}
	}
}
