package connectivity_test

import (
	"context"
	"fmt"
	"runtime/metrics"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// BenchmarkConnections works out all pairs of a cluster with as many policies as workloads. MB is all the memory that the
// process has from the operating system after the run, its binary apart.
func BenchmarkConnections(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("workloads=%d", n), func(b *testing.B) {
			s, err := policytest.Mesh(n)
			if err != nil {
				b.Fatal(err)
			}
			edges := 0
			for b.Loop() {
				edges = 0
				for range connectivity.Connections(context.Background(), s, connectivity.Options{}).Edges {
					edges++
				}
			}
			b.ReportMetric(float64(s.Stats().Policies), "policies")
			b.ReportMetric(float64(edges), "edges")
			b.ReportMetric(held()/1e6, "MB")
		})
	}
}

// held gives the bytes of memory that the Go runtime has and has not given back.
func held() float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
