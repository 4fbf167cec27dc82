// Package reference knows every metric that Bulkhead exports, from the code that exports it, and the few of others that its
// dashboards and alerts use.
package reference

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/audit"
)

// The types of metrics.
const (
	Counter   = "counter"
	Gauge     = "gauge"
	Histogram = "histogram"
)

// Metric is one metric family.
type Metric struct {
	Name, Type string
	// Labels are the names of its labels, without those that Prometheus adds to each target.
	Labels []string
	// Meaning is one or two sentences.
	Meaning string
}

// Unit is what a value counts, after the naming rules of Prometheus.
func (m Metric) Unit() string {
	base := strings.TrimSuffix(m.Name, "_total")
	switch {
	case strings.HasSuffix(base, "_timestamp_seconds"), strings.HasSuffix(base, "_time_seconds"):
		return "Unix time in seconds"
	case strings.HasSuffix(base, "_seconds"):
		return "seconds"
	case strings.HasSuffix(base, "_bytes"):
		return "bytes"
	}
	return ""
}

// Webhook gives the metrics of "bulkhead serve", by name.
func Webhook() []Metric {
	r := &recorder{}
	silent := slog.New(slog.DiscardHandler)
	webhook.NewMetrics(r)
	webhook.ObserveStore(r, webhook.NewStore(cluster.Options{}, nil, silent))
	webhook.ObserveCertificate(r, func() time.Time { return time.Time{} })
	webhook.ObserveIssuance(r, func() bool { return true })
	r.MustRegister(webhook.NewRegistrationWatch(nil, "bulkhead", "bulkhead-system", nil, silent))
	return sorted(r.metrics)
}

// Audit gives the metrics of "bulkhead audit serve" that "bulkhead serve" has not, by name.
func Audit() []Metric {
	r := &recorder{}
	audit.NewMetrics(r, audit.MetricsOptions{})
	return sorted(r.metrics)
}

// All gives every metric that a dashboard or an alert may name.
func All() []Metric { return sorted(slices.Concat(Webhook(), Audit(), Foreign())) }

func sorted(metrics []Metric) []Metric {
	slices.SortFunc(metrics, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return metrics
}

var _ prometheus.Registerer = (*recorder)(nil)
