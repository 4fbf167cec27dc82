package policytest

import (
	"math"
	"slices"
	"testing"
	"time"
)

// Percentiles runs do for the cases 0 to variety-1 again and again and reports percentiles of its time besides the mean:
// p50 and p99 of all runs, and best-mean and best-p99, which take of each case its fastest run. The latter tell of the
// variety of cases alone; what other work on the machine and the garbage collector add is in the former.
func Percentiles(b *testing.B, variety int, do func(i int)) {
	b.Helper()
	PreparedPercentiles(b, variety, nil, do)
}

// PreparedPercentiles is Percentiles with something to do before each run that does not count.
func PreparedPercentiles(b *testing.B, variety int, prepare, do func(i int)) {
	b.Helper()
	b.ReportAllocs()
	var all []time.Duration
	best := make([]time.Duration, variety)
	for i := range best {
		best[i] = math.MaxInt64
	}
	for i := 0; b.Loop(); i = (i + 1) % variety {
		if prepare != nil { // stopping the timer slows down what comes after it
			b.StopTimer()
			prepare(i)
			b.StartTimer()
		}
		start := time.Now()
		do(i)
		took := time.Since(start)
		all = append(all, took)
		best[i] = min(best[i], took)
	}
	best = best[:min(len(all), variety)]
	b.ReportMetric(percentile(all, 50), "p50-µs")
	b.ReportMetric(percentile(all, 99), "p99-µs")
	b.ReportMetric(percentile(best, 99), "best-p99-µs")
	b.ReportMetric(mean(best), "best-mean-µs")
}

func percentile(times []time.Duration, p int) float64 {
	slices.Sort(times)
	return float64(times[len(times)*p/100].Nanoseconds()/100) / 10
}

func mean(times []time.Duration) float64 {
	sum := time.Duration(0)
	for _, t := range times {
		sum += t
	}
	return float64(sum.Nanoseconds()/int64(len(times))/100) / 10
}
