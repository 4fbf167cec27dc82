package audit_test

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// large is a cluster of 2,000 namespaces, 150,000 pods and 10,000 policies.
type large struct {
	scaled  *policytest.Scaled
	builder *cluster.Builder
	stored  map[string]*networkingv1.NetworkPolicy
	options *audit.Options
}

func newLarge(b *testing.B) *large {
	b.Helper()
	x := &large{scaled: policytest.Scale(2000, 150_000, 10_000, 1), stored: map[string]*networkingv1.NetworkPolicy{}}
	cfg := settings(b, "maximumAction: Deny")
	x.builder = cluster.NewBuilder(policy.SnapshotOptions(cfg))
	if err := x.scaled.Fill(x.builder); err != nil {
		b.Fatal(err)
	}
	x.scaled.FillBeside(x.builder)
	for i := range x.scaled.Namespaces() {
		for _, np := range x.scaled.Policies(i) {
			x.stored[np.Namespace+"/"+np.Name] = np
		}
	}
	x.options = &audit.Options{Config: cfg, Guardrails: guardrails.All(), Policies: func(namespace, name string) *networkingv1.NetworkPolicy {
		return x.stored[namespace+"/"+name]
	}}
	return x
}

// BenchmarkScan audits the large cluster with all guardrails. base-MB is the heap with the snapshot and the policies as they were
// submitted, peak-MB the largest seen during a scan, garbage that is still to be collected among it, and held-MB what the report adds.
func BenchmarkScan(b *testing.B) {
	x := newLarge(b)
	s := x.builder.Snapshot()
	base, peak := heap(), 0.0
	x.options.Progress = func(done, _ int) {
		if done%2000 == 0 {
			peak = max(peak, inUse())
		}
	}
	var r *audit.Report
	for b.Loop() {
		r = audit.Scan(b.Context(), s, x.options)
	}
	b.ReportMetric(base, "base-MB")
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(heap()-base, "held-MB")
	findings := r.Count(func(*audit.Finding) bool { return true })
	b.ReportMetric(float64(findings), "findings")
	if len(r.Partial) > 0 || findings == 0 {
		b.Fatalf("%d findings; partial: %q", findings, r.Partial)
	}
	runtime.KeepAlive(x)
}

// BenchmarkAfterChange audits what may have changed once a pod has come to the large cluster, each time to another namespace.
func BenchmarkAfterChange(b *testing.B) {
	x := newLarge(b)
	before := x.builder.Snapshot()
	stale := 0
	for i := 0; b.Loop(); i++ {
		namespace := x.scaled.Namespace(x.scaled.Tenant(i * 13)).Name
		x.builder.SetPod(cluster.PodOf(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "comes", Labels: map[string]string{"n": fmt.Sprint(i)}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning},
		}))
		after := x.builder.Snapshot()
		for _, name := range audit.Stale(before, after, x.options) {
			audit.ScanNamespace(b.Context(), after, x.options, name)
			stale++
		}
		before = after
	}
	b.ReportMetric(float64(stale)/float64(b.N), "stale/op")
}

// heap gives what is still used after a collection.
func heap() float64 {
	runtime.GC()
	return inUse()
}

// inUse gives the size of the heap in megabytes.
func inUse() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
