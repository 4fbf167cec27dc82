package policy_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// shares adds up the time that the parts of an evaluation take.
type shares map[string]*share

// share is what one part takes.
type share struct {
	part  string
	total time.Duration
	best  []time.Duration // by case, 0 where the part did not run
}

// time adds to the part's share what do takes for a case.
func (s shares) time(part string, at int, do func()) {
	x := s[part]
	if x == nil {
		x = &share{part: part, best: make([]time.Duration, variety)}
		s[part] = x
	}
	start := time.Now()
	do()
	took := time.Since(start)
	x.total += took
	if x.best[at] == 0 || took < x.best[at] {
		x.best[at] = took
	}
}

// report lists the parts of n evaluations, the dearest first.
func (s shares) report(n int) string {
	sum := time.Duration(0)
	for _, x := range s {
		sum += x.total
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-24s %9s %6s %13s\n", "", "mean µs", "share", "best p99 µs")
	dearest := func(a, b *share) int { return cmp.Or(cmp.Compare(b.total, a.total), strings.Compare(a.part, b.part)) }
	for _, x := range slices.SortedFunc(maps.Values(s), dearest) {
		slices.Sort(x.best)
		fmt.Fprintf(&b, "%-24s %9.1f %5.1f%% %13.1f\n", x.part, micro(x.total)/float64(n),
			100*float64(x.total)/float64(sum), micro(x.best[len(x.best)*99/100]))
	}
	fmt.Fprintf(&b, "%-24s %9.1f", "together", micro(sum)/float64(n))
	return b.String()
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
