package audit

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Options say what an Auditor scans and whom it tells.
type Options struct {
	// Snapshot gives the cluster as it is, nil before it has been seen.
	Snapshot func() *cluster.Snapshot
	// Config gives the config in force, nil before there is one.
	Config func() *config.Config
	// Namespace scans one namespace, and Cluster what is about none.
	Namespace func(ctx context.Context, s *cluster.Snapshot, cfg *config.Config, name string) scan.Namespace
	Cluster   func(s *cluster.Snapshot, cfg *config.Config) []scan.Finding
	// Stale gives the namespaces about which a scan of after may say something else than one of before.
	Stale func(before, after *cluster.Snapshot, cfg *config.Config) []string
	// Sweep is how often everything is scanned, changed or not.
	Sweep time.Duration
	// Grace is for how long something has to be missing without a break before that counts.
	Grace time.Duration
	// Look is how often the Auditor looks for changes. What changes more often is scanned once.
	Look time.Duration
	// Reports writes what is found into the cluster; nil writes nothing.
	Reports *Reports
	// Metrics count; not nil.
	Metrics *Metrics
	Logger  *slog.Logger
}

// clusterWide stands, among the names of namespaces, for what is about none of them.
const clusterWide = ""

// Auditor scans while it leads, and holds what it found. Its methods may be called by any goroutine.
type Auditor struct {
	o Options

	// What follows is Lead's alone.
	base      *cluster.Snapshot // what was last looked at
	cfg       *config.Config    // likewise
	looked    time.Time
	changed   queue // names to scan because of a change
	sweep     queue // names that the sweep has still to scan
	sweepTurn bool  // the sweep is next, where both have names
	sweeping  bool
	begun     time.Time // when the last sweep began

	mu       sync.Mutex // guards what follows
	leading  bool
	complete bool // a whole sweep is done since it leads
	entries  map[string]*entry
}

// entry is what is known of a namespace.
type entry struct {
	found scan.Namespace // with what is still in its grace
	shown scan.Namespace // without
	// since is when each finding was first there, by its identity.
	since map[string]time.Time
	// due is when the next finding's grace ends; zero where none is in its grace.
	due time.Time
}

// New gives an Auditor that does nothing before Lead.
func New(o Options) *Auditor {
	a := &Auditor{o: o, entries: map[string]*entry{}}
	o.Metrics.watch(a)
	return a
}

// Leading says whether this Auditor scans.
func (a *Auditor) Leading() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leading
}

// Report gives what is known now, nil before the first whole sweep and where another replica leads.
func (a *Auditor) Report() *scan.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.complete { // it is so only while it leads
		return nil
	}
	out := &scan.Report{}
	for _, name := range slices.Sorted(maps.Keys(a.entries)) {
		if shown := a.entries[name].shown; name == clusterWide {
			out.Cluster = shown.Findings
		} else {
			out.Namespaces = append(out.Namespaces, shown)
		}
	}
	return out
}

// Lead scans until ctx ends. What it has found is forgotten then: whoever leads next goes by what was reported, because
// nobody knows what else happened meanwhile.
func (a *Auditor) Lead(ctx context.Context) {
	a.o.Logger.Info("this replica leads the audit")
	a.lead(true)
	defer func() {
		a.lead(false)
		a.o.Logger.Info("this replica no longer leads the audit")
	}()
	if a.o.Reports != nil {
		ctx, stop := context.WithCancel(ctx)
		written := make(chan struct{})
		go func() { defer close(written); a.o.Reports.Run(ctx) }()
		defer func() { stop(); <-written }()
		a.o.Reports.Await(ctx)
	}
	a.run(ctx)
}

func (a *Auditor) lead(leading bool) {
	a.base, a.cfg, a.looked, a.begun, a.sweeping = nil, nil, time.Time{}, time.Time{}, false
	a.changed, a.sweep = queue{}, queue{}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leading, a.complete, a.entries = leading, false, map[string]*entry{}
}

// settle notes what a scan found, and tells who is to know.
func (a *Auditor) settle(name string, found scan.Namespace, now time.Time) {
	a.mu.Lock()
	e := a.entries[name]
	if e == nil {
		e = &entry{}
		if a.o.Reports != nil {
			e.since = a.o.Reports.Since(name)
		}
		a.entries[name] = e
	}
	e.settle(found, now, a.o.Grace)
	shown, since := e.shown, e.since
	a.mu.Unlock()
	if a.o.Reports != nil {
		a.o.Reports.Put(name, &shown, since)
	}
}

// ripen shows what has been missing for long enough since the last scan.
func (a *Auditor) ripen(now time.Time) {
	a.mu.Lock()
	ripe := map[string]scan.Namespace{}
	for name, e := range a.entries {
		if !e.due.IsZero() && !now.Before(e.due) {
			ripe[name] = e.found
		}
	}
	a.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(ripe)) {
		a.settle(name, ripe[name], now)
	}
}

// forget drops the namespaces that the cluster has no longer. Their reports went with them.
func (a *Auditor) forget(s *cluster.Snapshot) {
	a.mu.Lock()
	var gone []string
	for name := range a.entries {
		if name != clusterWide && s.Namespace(name) == nil {
			delete(a.entries, name)
			gone = append(gone, name)
		}
	}
	a.mu.Unlock()
	if a.o.Reports != nil {
		a.o.Reports.Forget(gone)
	}
}
