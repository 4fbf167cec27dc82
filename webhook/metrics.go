package webhook

import (
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// Metrics are Bulkhead's own; controller-runtime exports request latency and counts besides. No label takes a value
// from a request beyond small closed sets, so that 48 guardrails make fewer than 500 series whatever is sent.
type Metrics struct {
	decisions     *prometheus.CounterVec
	violations    *prometheus.CounterVec
	inNamespace   *prometheus.CounterVec
	wouldDeny     *prometheus.CounterVec
	events        *prometheus.CounterVec
	exemptions    *prometheus.CounterVec
	failures      *prometheus.CounterVec
	overruns      prometheus.Gauge
	guardrailTime *prometheus.CounterVec
	guardrailRuns *prometheus.CounterVec
	evaluation    prometheus.Histogram
	confirmations *prometheus.CounterVec
	refusals      *prometheus.CounterVec
	reloads       *prometheus.CounterVec
	rotations     *prometheus.CounterVec
	configGood    prometheus.Gauge
	configTime    prometheus.Gauge
	configInfo    *prometheus.GaugeVec
}

const metricsPrefix = "bulkhead_"

// NewMetrics registers Bulkhead's metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: metricsPrefix + name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &Metrics{
		decisions: counter("decisions_total",
			"Requests by what was decided: allowed, warned, denied, exempt, skipped or failed. Dry runs change nothing and are told apart.",
			"decision", "resource", "operation", "dry_run"),
		violations: counter("violations_total", "Violations found, by what was done about them; dry runs do not count.",
			"guardrail", "action"),
		inNamespace: counter("namespace_violations_total",
			"Violations by namespace; empty unless metrics.namespaceLabel is set in the config.", "namespace", "guardrail", "action"),
		wouldDeny: counter("would_deny_total",
			"Requests that a guardrail did not deny and would have denied if its action were Deny; dry runs do not count.", "guardrail"),
		events: counter("events_total",
			"Events that the config asks for: sent, aggregated in one that is there, dropped over the bounds, or failed.", "result"),
		exemptions: counter("exemptions_total", "Requests that were not judged, by why.", "reason"),
		failures: counter("guardrail_failures_total", "Guardrails that panicked or did not finish in time; the log says which.",
			"guardrail"),
		overruns:      gauge("guardrail_overruns_running", "Runs of guardrails that were given up, have not ended and use a processor each."),
		guardrailTime: counter("guardrail_evaluation_seconds_total", "Time spent in each guardrail.", "guardrail"),
		guardrailRuns: counter("guardrail_evaluations_total", "Runs of each guardrail.", "guardrail"),
		confirmations: counter("confirmations_total",
			"Denials by the snapshot that were judged again on live reads: confirmed, overturned or failed.", "result"),
		refusals:   counter("http_refusals_total", "Requests refused before they reached a guardrail, by why.", "reason", "code"),
		reloads:    counter("config_reloads_total", "Attempts to load the config file: success or failure.", "result"),
		rotations:  counter("certificate_rotations_total", "Steps in the life of the self-signed certificate, and foreign edits put right.", "step"),
		configGood: gauge("config_last_reload_successful", "1 where the config file as it is now is in force, 0 where an older one is."),
		configTime: gauge("config_last_reload_success_timestamp_seconds", "When the config in force was loaded."),
		configInfo: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: metricsPrefix + "config_info", Help: "The config in force, by its hash and the strictest action it allows.",
		}, []string{"hash", "maximum_action"}),
		evaluation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricsPrefix + "evaluation_seconds", Help: "Time to judge one change, all guardrails together.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .1, .5, 2.5},
		}),
	}
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: metricsPrefix + "build_info", Help: "The running version.", ConstLabels: prometheus.Labels{"version": Version()},
	}, func() float64 { return 1 })
	r.MustRegister(m.configInfo, m.evaluation, build)
	return m
}

// Version gives the version that the binary was built from.
func Version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// ObserveStore exports what the store holds and how fresh it is.
func ObserveStore(r prometheus.Registerer, s *Store) { r.MustRegister(&storeCollector{s}) }

type storeCollector struct{ store *Store }

var (
	descObjects = prometheus.NewDesc(metricsPrefix+"snapshot_objects", "Objects in the snapshot by kind.", []string{"kind"}, nil)
	descAge     = prometheus.NewDesc(metricsPrefix+"snapshot_age_seconds",
		"How long ago the API server last said anything about a resource; bookmarks come about once a minute.", []string{"resource"}, nil)
	descInvalid = prometheus.NewDesc(metricsPrefix+"snapshot_invalid_policies", "Stored policies that do not parse and select nothing.", nil, nil)
	descSynced  = prometheus.NewDesc(metricsPrefix+"snapshot_ready", "1 once everything has been listed.", nil, nil)
)

func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descObjects, descAge, descInvalid, descSynced} {
		ch <- d
	}
}

func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.store.Snapshot()
	gauge(descInvalid, float64(c.store.Invalid()))
	for resource, age := range oldestOthers(c.store.Age(time.Now())) {
		gauge(descAge, age.Seconds(), resource)
	}
	if s == nil {
		gauge(descSynced, 0)
		return
	}
	gauge(descSynced, 1)
	stats := s.Stats()
	for kind, n := range map[string]int{
		"namespace": stats.Namespaces, "networkpolicy": stats.Policies, "pod": stats.Pods, "workload": stats.Workloads,
		"template": stats.Templates, "service": stats.Services, otherResources: stats.Extras,
	} {
		gauge(descObjects, float64(n), kind)
	}
	for kind, n := range countTiers(s.Tiers()) {
		gauge(descObjects, float64(n), strings.ToLower(kind))
	}
}

// otherResources stands in metrics for all that only some guardrails read: a series for each kind would be many.
const otherResources = "other"

// oldestOthers puts the oldest of the resources that only some guardrails read in the place of them all.
func oldestOthers(ages map[string]time.Duration) map[string]time.Duration {
	for _, k := range resources.Kinds() {
		if age, watched := ages[string(k.Resource)]; watched {
			delete(ages, string(k.Resource))
			ages[otherResources] = max(ages[otherResources], age)
		}
	}
	return ages
}

// countTiers counts the cluster-wide policies by kind.
func countTiers(t *netpol.Tiers) map[string]int {
	out := map[string]int{}
	for _, f := range tierFeeds() {
		out[f.kind] = 0
	}
	if t != nil {
		for _, p := range slices.Concat(t.Policies[:]...) {
			out[p.Kind]++
		}
	}
	return out
}

// ObserveCertificate exports when the serving certificate expires.
func ObserveCertificate(r prometheus.Registerer, notAfter func() time.Time) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: metricsPrefix + "certificate_expiry_timestamp_seconds", Help: "When the serving certificate expires; 0 before there is one.",
	}, func() float64 {
		if t := notAfter(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	}))
}

// ObserveIssuance exports whether cert-manager is fine with the serving certificate and its renewal.
func ObserveIssuance(r prometheus.Registerer, issued func() bool) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: metricsPrefix + "certificate_issued",
		Help: "1 while cert-manager says that the serving certificate is issued and no renewal fails; the log says why not.",
	}, func() float64 {
		if issued() {
			return 1
		}
		return 0
	}))
}

// Refused counts a request that was refused before it reached a guardrail.
func (m *Metrics) Refused(reason string, status int) {
	m.refusals.WithLabelValues(reason, strconv.Itoa(status)).Inc()
}

// Reloaded counts a load of the config file; cfg is the config in force, nil before the first good one.
func (m *Metrics) Reloaded(cfg *config.Config, err error) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		m.configGood.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.configGood.Set(1)
	m.configTime.SetToCurrentTime()
	m.configInfo.Reset()
	m.configInfo.WithLabelValues(cfg.Hash(), string(cfg.MaximumAction)).Set(1)
}

// Rotated counts a step in the life of the self-signed certificate.
func (m *Metrics) Rotated(step string) { m.rotations.WithLabelValues(step).Inc() }

func (m *Metrics) guardrail(slug string, took time.Duration) {
	m.guardrailTime.WithLabelValues(slug).Add(took.Seconds())
	m.guardrailRuns.WithLabelValues(slug).Inc()
}

func (m *Metrics) decided(resource, operation, decision string, dryRun bool) {
	m.decisions.WithLabelValues(decision, resource, operation, strconv.FormatBool(dryRun)).Inc()
}

// found counts violations.
func (m *Metrics) found(d *policy.Decision) {
	for i := range d.Findings {
		m.violations.WithLabelValues(d.Findings[i].Guardrail, string(d.Findings[i].Action)).Inc()
	}
}

// Event counts what became of an Event.
func (m *Metrics) Event(result string) { m.events.WithLabelValues(result).Inc() }

// expect makes a series at zero for each guardrail that could ever deny, so that what would have been denied for the first time
// is an increase.
func (m *Metrics) expect(guardrails []policy.Guardrail) {
	for i := range guardrails {
		if g := &guardrails[i]; !g.Describes && (g.AtMost == "" || g.AtMost == config.Deny) {
			m.wouldDeny.WithLabelValues(g.Slug)
		}
	}
}

// couldDeny counts the request for each guardrail that would have denied it if that were its action.
func (m *Metrics) couldDeny(d *policy.Decision) {
	for _, slug := range wouldDeny(d) {
		m.wouldDeny.WithLabelValues(slug).Inc()
	}
}

// foundIn counts violations by namespace; the config has to ask for that.
func (m *Metrics) foundIn(namespace string, d *policy.Decision) {
	for i := range d.Findings {
		m.inNamespace.WithLabelValues(namespace, d.Findings[i].Guardrail, string(d.Findings[i].Action)).Inc()
	}
}

// failed counts guardrails that could not be evaluated.
func (m *Metrics) failed(d *policy.Decision) {
	for _, f := range d.Failures {
		m.failures.WithLabelValues(f.Guardrail).Inc()
	}
}

// metricLabels gives the resource and the operation of a request as metric labels. They are of closed sets, because whoever
// reaches the port could otherwise make up as many series as they like, and of small ones: a pod's bindings count as
// pods, all kinds with a pod template as templates, and what Bulkhead does not judge is one series.
func metricLabels(r *admissionv1.AdmissionRequest) (resource, operation string) {
	switch r.Operation {
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete:
		operation = string(r.Operation)
	default:
		return "other", "other"
	}
	switch r.Resource.Resource {
	case "networkpolicies":
		return "networkpolicies", operation
	case "namespaces":
		return "namespaces", operation
	case "pods", "bindings":
		return "pods", operation
	case "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs":
		return "templates", operation
	}
	return "other", "other"
}
