package board

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// RuleFile is a file of rules as Prometheus reads it, and what a PrometheusRule has under spec.
type RuleFile struct {
	Groups []Group `json:"groups"`
}

// Group is rules that are evaluated one after the other.
type Group struct {
	Name     string `json:"name"`
	Interval string `json:"interval,omitempty"`
	Rules    []Rule `json:"rules"`
}

// Rule records an expression or alerts on it.
type Rule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Rules gives all rules.
func Rules(t Timing) RuleFile {
	interval := t.expand("%30s%")
	records := Group{Name: "bulkhead.rules", Interval: interval}
	for _, r := range recordings() {
		records.Rules = append(records.Rules, Rule{Record: r.name, Expr: t.expand(r.expr)})
	}
	alarms := Group{Name: "bulkhead.alerts", Interval: interval}
	for _, a := range Alerts(t) {
		alarms.Rules = append(alarms.Rules, Rule{
			Alert: a.Name, Expr: t.expand(a.Expr), For: t.expand(a.For), Labels: map[string]string{"severity": a.Severity},
			Annotations: map[string]string{"summary": a.Summary, "description": a.Description, "runbook_url": runbooks + a.Name},
		})
	}
	return RuleFile{Groups: []Group{records, alarms}}
}

// YAML writes the file.
func (f RuleFile) YAML() ([]byte, error) {
	text, err := yaml.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("the rules: %w", err)
	}
	return text, nil
}

// recording is one recording rule; the name says level, metric and operation, as Prometheus' naming has it.
type recording struct{ name, expr string }

func recordings() []recording {
	return []recording{
		{"bulkhead:errors:rate5m", `sum(rate(bulkhead_http_refusals_total[%5m%])) or vector(0)`},
		{"bulkhead:requests:rate5m", `(sum(rate(bulkhead_decisions_total{decision!="failed"}[%5m%])) or vector(0)) + bulkhead:errors:rate5m`},
		{"bulkhead:errors:ratio_rate5m", `bulkhead:errors:rate5m / (bulkhead:requests:rate5m > 0)`},
		{"decision:bulkhead_decisions:rate5m", `sum by (decision) (rate(bulkhead_decisions_total{dry_run="false"}[%5m%]))`},
		{"bulkhead:denials:increase15m", `sum(increase(bulkhead_decisions_total{decision="denied",dry_run="false"}[%15m%])) or vector(0)`},
		{"bulkhead:denials:increase1d", `sum(increase(bulkhead_decisions_total{decision="denied",dry_run="false"}[%1d%])) or vector(0)`},
		{"guardrail_action:bulkhead_violations:increase1d", `sum by (guardrail, action) (increase(bulkhead_violations_total[%1d%]))`},
		{"guardrail:bulkhead_would_deny:increase1d", `sum by (guardrail) (increase(bulkhead_would_deny_total[%1d%]))`},
		{"bulkhead:evaluation_seconds:p99_5m", `histogram_quantile(0.99, sum by (le) (rate(bulkhead_evaluation_seconds_bucket[%5m%])))`},
		{"bulkhead:review_seconds:p99_5m", `histogram_quantile(0.99, sum by (le) (rate(controller_runtime_webhook_latency_seconds_bucket{` + jobs + `}[%5m%])))`},
		{"webhook:bulkhead_call_seconds:p99_5m", `label_replace(
  histogram_quantile(0.99, sum by (name, le) (rate(apiserver_admission_webhook_admission_duration_seconds_bucket{` + ours + `}[%5m%]))),
  "webhook", "$1", "name", "(.*)")`},
	}
}
