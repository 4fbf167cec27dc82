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

// report lists the parts of n evaluations, the dearest first. "best" is of each case its fastest run: other work on the
// machine is not in it.
func (s shares) report(n int) string {
	sum := time.Duration(0)
	for _, x := range s {
		sum += x.sum()
	}
	cases := float64(min(n, variety))
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-24s %13s %6s %11s %8s\n", "", "best, mean µs", "share", "best, p99", "all, mean")
	dearest := func(a, b *share) int { return cmp.Or(cmp.Compare(b.sum(), a.sum()), strings.Compare(a.part, b.part)) }
	for _, x := range slices.SortedFunc(maps.Values(s), dearest) {
		slices.Sort(x.best)
		fmt.Fprintf(&b, "%-24s %13.1f %5.1f%% %11.1f %8.1f\n", x.part, micro(x.sum())/cases,
			100*float64(x.sum())/float64(sum), micro(x.best[len(x.best)*99/100]), micro(x.total)/float64(n))
	}
	fmt.Fprintf(&b, "%-24s %13.1f", "together", micro(sum)/cases)
	return b.String()
}

// sum adds up the fastest runs of all cases.
func (x *share) sum() time.Duration {
	out := time.Duration(0)
	for _, took := range x.best {
		out += took
	}
	return out
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
