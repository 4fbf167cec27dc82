package audit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const prefix = "bulkhead_audit_"

// The values of the label result of bulkhead_audit_reports_total.
const (
	resultWritten   = "written"
	resultUnchanged = "unchanged"
	resultDeleted   = "deleted"
	resultFailed    = "failed"
)

// Metrics are what the audit exports. Counters are each replica's own; what was found is exported by the leader alone, and
// only once it has scanned everything, so that a sum over replicas is right and a new leader does not show a cluster that
// is half clean.
type Metrics struct {
	scanned  prometheus.Counter
	failures *prometheus.CounterVec
	reports  *prometheus.CounterVec
	duration prometheus.Gauge
	last     prometheus.Gauge
	posture  *posture
}

// MetricsOptions say which series there are.
type MetricsOptions struct {
	// Actions gives by guardrail the action that the config has for it; those that are Off are not in it.
	Actions func() map[string]string
	// Namespaces says whether there may be series by namespace.
	Namespaces func() bool
}

// NewMetrics registers the audit's metrics with r.
func NewMetrics(r prometheus.Registerer, o MetricsOptions) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	m := &Metrics{
		scanned: prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "namespaces_scanned_total", Help: "Scans of a namespace."}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "guardrail_failures_total", Help: "Guardrails that panicked in a scan; the log says which and where.",
		}, []string{"guardrail"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "reports_total", Help: "Reports that were to be written: written, unchanged, deleted or failed.",
		}, []string{"result"}),
		duration: gauge("scan_duration_seconds", "How long the last sweep over all namespaces took, its rests included."),
		last:     gauge("last_scan_timestamp_seconds", "When the last sweep over all namespaces ended; 0 before the first one of this replica."),
		posture:  &posture{options: o},
	}
	for _, result := range []string{resultWritten, resultUnchanged, resultDeleted, resultFailed} {
		m.reports.WithLabelValues(result)
	}
	r.MustRegister(m.scanned, m.failures, m.reports, m.duration, m.last, m.posture)
	return m
}

func (m *Metrics) watch(a *Auditor) { m.posture.auditor.Store(a) }

// swept notes the end of a sweep.
func (m *Metrics) swept(took time.Duration, end time.Time) {
	m.duration.Set(took.Seconds())
	m.last.Set(float64(end.Unix()))
}
