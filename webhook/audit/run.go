package audit

import (
	"context"
	"slices"
	"time"

	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// smallestRest is how much rest is saved up before it is taken: timers are no more exact than that.
const smallestRest = 5 * time.Millisecond

// run scans what is due, one namespace after the other, until ctx ends. After each it rests for as long as that took, so
// that an audit never takes more than half of a processor from whoever else needs it.
func (a *Auditor) run(ctx context.Context) {
	tick := time.NewTicker(a.o.Look)
	defer tick.Stop()
	var owed time.Duration
	for ctx.Err() == nil {
		a.look(time.Now())
		name, due := a.next()
		if !due {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
			continue
		}
		start := time.Now()
		a.scan(ctx, name)
		if owed += time.Since(start); owed >= smallestRest {
			rest(ctx, owed)
			owed = 0
		}
		if ctx.Err() == nil {
			a.finishSweep()
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// look finds out what has changed since it last did, and what has become due.
func (a *Auditor) look(now time.Time) {
	if !a.looked.IsZero() && now.Sub(a.looked) < a.o.Look {
		return
	}
	s, cfg := a.o.Snapshot(), a.o.Config()
	if s == nil || cfg == nil {
		return
	}
	a.looked = now
	a.ripen(now)
	if a.begun.IsZero() || cfg != a.cfg || !a.sweeping && now.Sub(a.begun) >= a.o.Sweep {
		a.beginSweep(s, now)
	} else if s != a.base {
		a.forget(s)
		for _, name := range a.o.Stale(a.base, s, cfg) {
			if s.Namespace(name) != nil {
				a.changed.add(name)
			}
		}
		a.changed.add(clusterWide)
	}
	a.base, a.cfg = s, cfg
}

// beginSweep makes everything due: what has no report first, and then what was reported longest ago.
func (a *Auditor) beginSweep(s *cluster.Snapshot, now time.Time) {
	a.forget(s)
	a.sweeping, a.begun, a.sweep = true, now, queue{}
	names := []string{clusterWide}
	for n := range s.All() {
		names = append(names, n.Name)
	}
	if a.o.Reports != nil {
		a.o.Reports.Check()
		written := a.o.Reports.Written()
		slices.SortStableFunc(names, func(x, y string) int { return written[x].Compare(written[y]) })
	}
	for _, name := range names {
		a.sweep.add(name)
	}
}

// next gives the name that is to be scanned now. Changes and the sweep take turns: a cluster that never rests is to be
// swept, too.
func (a *Auditor) next() (string, bool) {
	first, second := &a.changed, &a.sweep
	if a.sweepTurn {
		first, second = second, first
	}
	a.sweepTurn = !a.sweepTurn
	name, found := first.next()
	if !found {
		name, found = second.next()
	}
	a.changed.drop(name)
	a.sweep.drop(name)
	return name, found
}

// scan scans one namespace of the cluster that was last looked at.
func (a *Auditor) scan(ctx context.Context, name string) {
	if name == clusterWide {
		a.settle(name, scan.Namespace{Findings: a.o.Cluster(a.base, a.cfg)}, time.Now())
		return
	}
	if a.base.Namespace(name) == nil {
		return // it is gone since it became due
	}
	found := a.o.Namespace(ctx, a.base, a.cfg, name)
	if ctx.Err() != nil {
		return // it may be half a scan
	}
	for _, f := range found.Failures {
		a.o.Metrics.failures.WithLabelValues(f.Guardrail).Inc()
		a.o.Logger.Error("a guardrail could not be evaluated", "guardrail", f.Guardrail, "namespace", name, "error", f.Err.Error())
	}
	a.settle(name, found, time.Now())
	a.o.Metrics.scanned.Inc()
}

// finishSweep notes the end of a sweep.
func (a *Auditor) finishSweep() {
	if !a.sweeping || !a.sweep.empty() {
		return
	}
	now := time.Now()
	a.sweeping = false
	a.o.Metrics.swept(now.Sub(a.begun), now)
	a.mu.Lock()
	first := !a.complete
	a.complete = true
	namespaces := len(a.entries) - 1
	a.mu.Unlock()
	if first {
		a.o.Logger.Info("the first sweep is complete", "namespaces", namespaces, "seconds", now.Sub(a.begun).Seconds())
	}
}
