package webhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// everyMetric gives a registry in which everything has happened that can: 48 guardrails have found and failed, under
// every action that one config gives them, on every resource. A guardrail has one action, and Warn besides where that is Deny.
func everyMetric(t *testing.T) (*prometheus.Registry, *Metrics) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	s, _ := newTestStore(t)
	for _, f := range feeds() {
		if err := (&sink{s, f}).Replace([]any{exampleOf(f.resource)}, "1"); err != nil {
			t.Fatal(err)
		}
	}
	s.publish()
	ObserveStore(registry, s)
	ObserveCertificate(registry, func() time.Time { return time.Unix(1_900_000_000, 0) })
	d := policy.Decision{}
	for i := range 48 {
		slug := fmt.Sprintf("guardrail-%d", i)
		for _, a := range []config.Action{config.Deny, config.Warn} {
			d.Findings = append(d.Findings, policy.Finding{Guardrail: slug, Action: a, WouldDeny: true})
		}
		d.Failures = append(d.Failures, policy.Failure{Guardrail: slug, Err: errOverrun})
		m.guardrail(slug, time.Millisecond)
	}
	m.found(&d)
	m.couldDeny(&d)
	m.failed(&d)
	m.evaluation.Observe(0.1)
	for _, resource := range []string{"networkpolicies", "pods", "bindings", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "other"} {
		for _, operation := range []admissionv1.Operation{create, update, deleted, connect, "x"} {
			r := &admissionv1.AdmissionRequest{Operation: operation}
			r.Resource.Resource = resource
			resource, operation := metricLabels(r)
			for _, decision := range []string{decisionAllowed, decisionWarned, decisionDenied, decisionExempt, decisionSkipped, decisionFailed} {
				m.decided(resource, operation, decision, false)
				m.decided(resource, operation, decision, true)
			}
		}
	}
	for _, reason := range []string{exemptNamespace, exemptUser, exemptGroup, exemptNodeAgent, exemptGarbageCollection, exemptNamespaceTermination} {
		m.exemptions.WithLabelValues(reason).Inc()
	}
	for _, result := range []string{confirmationConfirmed, confirmationOverturned, confirmationFailed} {
		m.confirmations.WithLabelValues(result).Inc()
	}
	for i := range 20 { // more than there are reasons
		m.Refused(fmt.Sprintf("reason-%d", i), 400)
	}
	for i := range 8 {
		m.Rotated(fmt.Sprintf("step-%d", i))
	}
	m.Reloaded(nil, errors.New("bad"))
	for _, action := range config.Actions() {
		m.Reloaded(configOf(t, nil, fmt.Sprintf("maximumAction: %q\n", action)), nil)
	}
	return registry, m
}

func TestMetricsAreWellNamed(t *testing.T) {
	registry, _ := everyMetric(t)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestSeriesAreFew(t *testing.T) {
	registry, _ := everyMetric(t)
	if n := seriesIn(t, registry); n > 500 {
		t.Errorf("%d series with 48 guardrails, want at most 500", n)
	}
}

// seriesIn counts series as Prometheus does: a histogram is one for each bucket, and two more.
func seriesIn(t testing.TB, registry *prometheus.Registry) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n++
			if h := m.GetHistogram(); h != nil {
				n += len(h.GetBucket()) + 2
			}
		}
	}
	return n
}

func TestRequestsMakeUpNoSeries(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny+"exempt: {namespaces: [sandbox]}\n")
	b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"))
	b.logger = discard()
	made := func(i int) *admissionv1.AdmissionRequest {
		made := fmt.Sprintf("made-up-%d", i)
		r := policyCreate(b, made)
		r.Name, r.UserInfo.Username, r.UserInfo.Groups = made, made, []string{made}
		switch i % 5 {
		case 0:
			r.Resource.Resource = made
		case 1:
			r.Operation = admissionv1.Operation(made)
		case 2:
			r.SubResource = made
		case 3:
			r.Resource.Group, r.Kind.Kind = made, made
		}
		return r
	}
	send := func(i int) {
		v := &review{AdmissionRequest: made(i), cfg: cfg}
		verdict, err := b.judge(t.Context(), v)
		if err != nil {
			b.fail(t.Context(), v, err, 0)
			return
		}
		b.report(t.Context(), v, verdict, 0)
	}
	for i := range 10 {
		send(i)
		b.metrics.decided("other", "other", decisionFailed, i%2 == 0)
	}
	before := seriesIn(t, b.registry)
	for i := range 1000 {
		send(i)
	}
	// What becomes a label is decided in one place; the rest of the way is not worth going 100,000 times.
	r := policyCreate(b, "x")
	for i := range 100_000 {
		name := fmt.Sprintf("made-up-%d", i)
		r.Resource.Resource, r.Resource.Group, r.SubResource, r.Operation = name, name, name, admissionv1.Operation(name)
		resource, operation := metricLabels(r)
		b.metrics.decided(resource, operation, decisionFailed, i%2 == 0)
	}
	if after := seriesIn(t, b.registry); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}

func TestReloads(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	b := &bench{TB: t, registry: registry}
	one, two := configOf(t, nil, ""), configOf(t, nil, deny)
	m.Reloaded(one, nil)
	m.Reloaded(two, nil)
	m.Reloaded(two, errors.New("bad"))
	want := []string{
		fmt.Sprintf("bulkhead_config_info{hash=%s,maximum_action=Deny} 1", two.Hash()),
		"bulkhead_config_last_reload_successful{} 0",
		"bulkhead_config_reloads_total{result=failure} 1", "bulkhead_config_reloads_total{result=success} 2",
	}
	got := slices.DeleteFunc(b.series("bulkhead_config"), func(s string) bool {
		return s[:len("bulkhead_config_last_reload_success_")] == "bulkhead_config_last_reload_success_"
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestStoreMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	s, _ := newTestStore(t)
	ObserveStore(registry, s)
	b := &bench{TB: t, registry: registry}
	if got := b.series("bulkhead_snapshot"); !slices.Equal(got, []string{"bulkhead_snapshot_invalid_policies{} 0", "bulkhead_snapshot_ready{} 0"}) {
		t.Errorf("empty: %v", got)
	}
	for _, f := range feeds() {
		if err := (&sink{s, f}).Replace([]any{exampleOf(f.resource)}, "1"); err != nil {
			t.Fatal(err)
		}
	}
	s.publish()
	got := map[string]bool{}
	for _, line := range b.series("bulkhead_snapshot") {
		got[line] = true
	}
	for _, want := range []string{"bulkhead_snapshot_ready{} 1", "bulkhead_snapshot_objects{kind=template} 6", "bulkhead_snapshot_objects{kind=networkpolicy} 1"} {
		if !got[want] {
			t.Errorf("no %s in %v", want, slices.Sorted(maps.Keys(got)))
		}
	}
	if n := len(b.series("bulkhead_snapshot_age_seconds")); n != len(ResourceNames()) {
		t.Errorf("age of %d resources", n)
	}
}
