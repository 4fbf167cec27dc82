package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// wouldDenyMetric counts what guardrails did not deny and would have denied. Source: webhook/metrics.go.
const wouldDenyMetric = "bulkhead_would_deny_total"

// prometheusTimeout bounds one question to Prometheus.
const prometheusTimeout = 30 * time.Second

// pastDenials are changes of the past that a guardrail would have denied if its action had been Deny.
type pastDenials struct {
	Days  int `json:"days"`
	Count int `json:"count"`
	// Complete says that Prometheus knows the first of the days too.
	Complete bool `json:"complete"`

	beyond bool // the stored objects are those of one namespace alone
}

func (r *pastDenials) period() string {
	if r.Days == 1 {
		return "day"
	}
	return fmt.Sprintf("%d days", r.Days)
}

func (r *pastDenials) words() string {
	switch {
	case r == nil:
		return "not known; --prometheus asks for them"
	case r.Count == 0:
		return fmt.Sprintf("none of the last %s would have been denied%s", r.period(), r.lack())
	}
	return fmt.Sprintf("%d of the last %s would have been denied%s", r.Count, r.period(), r.lack())
}

// lack says what the number is not.
func (r *pastDenials) lack() string {
	out := ""
	if r.beyond {
		out = ", in all namespaces"
	}
	if !r.Complete {
		out += ", as far back as Prometheus knows"
	}
	return out
}

// askPrometheus counts the past changes that the guardrail would have denied.
func (o *auditOptions) askPrometheus(ctx context.Context, g *policy.Guardrail) (*pastDenials, error) {
	u, err := url.Parse(o.prometheus)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("--prometheus %q: use a URL such as http://localhost:9090", o.prometheus)
	}
	client, err := api.NewClient(api.Config{Address: o.prometheus})
	if err != nil {
		return nil, fmt.Errorf("--prometheus %s: %w", u.Redacted(), err)
	}
	q := questions{api: prometheus.NewAPI(client), where: u.Redacted(), now: time.Now()}
	series := fmt.Sprintf("%s{guardrail=%q}", wouldDenyMetric, g.Slug)
	out := &pastDenials{Days: o.days, beyond: o.input.namespace != ""}
	known, err := q.ask(ctx, fmt.Sprintf("count(present_over_time(%s[%dd]))", series, o.days))
	switch {
	case err != nil:
		return nil, err
	case known == 0 && g.AtMost != "":
		return out, nil // it never denies, so that nothing is counted
	case known == 0:
		return nil, fmt.Errorf("--prometheus %s: no %s in the last %s; is this the Prometheus that scrapes Bulkhead's webhook?", u.Redacted(), series, out.period())
	}
	increase, err := q.ask(ctx, fmt.Sprintf("sum(increase(%s[%dd]))", series, o.days))
	if err != nil {
		return nil, err
	}
	first, err := q.ask(ctx, fmt.Sprintf("count(present_over_time(%s[1d]%s))", series, daysAgo(o.days-1)))
	if err != nil {
		return nil, err
	}
	// Prometheus extrapolates: one change may count as 0.98 or 1.04 of one.
	out.Count, out.Complete = int(math.Ceil(math.Max(increase, 0)-0.25)), first > 0
	return out, nil
}

// daysAgo writes an offset; PromQL takes none of zero.
func daysAgo(days int) string {
	if days == 0 {
		return ""
	}
	return fmt.Sprintf(" offset %dd", days)
}

// questions are asked of one Prometheus, all at one time.
type questions struct {
	api   prometheus.API
	where string
	now   time.Time
}

// ask gives the one number that the query makes; 0 where nothing is known.
func (q *questions) ask(ctx context.Context, query string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, prometheusTimeout)
	defer cancel()
	value, _, _, err := q.api.Query(ctx, query, q.now)
	if err != nil {
		return 0, fmt.Errorf("--prometheus %s cannot be asked: %w", q.where, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return 0, errors.New("--prometheus " + q.where + ": the answer is no vector")
	}
	if len(vector) == 0 {
		return 0, nil
	}
	return float64(vector[0].Value), nil
}
