package audit_test

import (
	"runtime"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// BenchmarkScan audits a cluster of 2,000 namespaces, 150,000 pods and 10,000 policies with all guardrails. base-MB is the heap with
// the snapshot and the policies as they were submitted, peak-MB the largest seen during a scan, garbage that is still to be
// collected among it, and held-MB what the report adds.
func BenchmarkScan(b *testing.B) {
	scaled := policytest.Scale(2000, 150_000, 10_000, 1)
	cfg := settings(b, "maximumAction: Deny")
	builder := cluster.NewBuilder(policy.SnapshotOptions(cfg))
	if err := scaled.Fill(builder); err != nil {
		b.Fatal(err)
	}
	scaled.FillBeside(builder)
	s := builder.Snapshot()
	stored := map[string]*networkingv1.NetworkPolicy{}
	for i := range scaled.Namespaces() {
		for _, np := range scaled.Policies(i) {
			stored[np.Namespace+"/"+np.Name] = np
		}
	}
	o := &audit.Options{Config: cfg, Guardrails: guardrails.All(), Policies: func(namespace, name string) *networkingv1.NetworkPolicy {
		return stored[namespace+"/"+name]
	}}
	base := heap()
	peak := 0.0
	o.Progress = func(done, _ int) {
		if done%2000 == 0 {
			peak = max(peak, inUse())
		}
	}
	var r *audit.Report
	for b.Loop() {
		r = audit.Scan(b.Context(), s, o)
	}
	b.ReportMetric(base, "base-MB")
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(heap()-base, "held-MB")
	findings := r.Count(func(*audit.Finding) bool { return true })
	b.ReportMetric(float64(findings), "findings")
	if len(r.Partial) > 0 || findings == 0 {
		b.Fatalf("%d findings; partial: %q", findings, r.Partial)
	}
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
