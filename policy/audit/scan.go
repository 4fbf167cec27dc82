package audit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Scan judges all that the snapshot holds. It stops early when ctx ends, and Report.Partial says so. The report is that of
// ScanNamespace for each namespace, and of ScanCluster.
func Scan(ctx context.Context, s *cluster.Snapshot, o *Options) *Report {
	r := &Report{}
	done, total := 0, 0
	r.Namespaces, done, total = scan(ctx, s, o, o.judged(s))
	var failures []policy.Failure
	r.Cluster, failures = ofCluster(s, o)
	if done < total {
		r.Partial = append(r.Partial, fmt.Sprintf("stopped early: %d of %s were not judged", total-done, policy.Plural(total, "object")))
	}
	unjudged := 0
	for i := range r.Namespaces {
		unjudged += len(r.Namespaces[i].Unjudged)
	}
	if unjudged > 0 {
		r.Partial = append(r.Partial, fmt.Sprintf("%s could not be judged: what their authors wrote is not known", policy.Plural(unjudged, "policy")))
	}
	for _, f := range failures {
		r.Partial = append(r.Partial, fmt.Sprintf("%s could not be evaluated", f.Guardrail))
	}
	if !s.Resolver().Known() && r.isolatesEgress() {
		r.Partial = append(r.Partial, "the cluster's DNS resolver is not known, so what cuts pods off from it is neither found nor counted; the config can name it")
	}
	return r
}

func (o *Options) judged(s *cluster.Snapshot) []*cluster.Namespace {
	all := slices.Collect(s.All())
	if o.Only == nil {
		return all
	}
	return slices.DeleteFunc(all, func(n *cluster.Namespace) bool { return !o.Only(n.Name) })
}

// ScanNamespace judges one namespace of the snapshot. The caller asks ctx whether the result is whole.
func ScanNamespace(ctx context.Context, s *cluster.Snapshot, o *Options, name string) Namespace {
	n := s.Namespace(name)
	if n == nil {
		return Namespace{Name: name}
	}
	out, _, _ := scan(ctx, s, o, []*cluster.Namespace{n})
	return out[0]
}

// scan judges the namespaces.
func scan(ctx context.Context, s *cluster.Snapshot, o *Options, namespaces []*cluster.Namespace) (out []Namespace, done, total int) {
	j := newJudge(s, o)
	out = make([]Namespace, len(namespaces))
	parts := make([][]part, len(namespaces))
	var work []*part
	for i, n := range namespaces {
		out[i] = Namespace{Name: n.Name, Exempt: j.exempt(n.Name)}
		if !out[i].Exempt {
			parts[i] = j.parts(n)
		}
		parts[i] = append(parts[i], part{namespace: n, posture: true})
		for k := range parts[i] {
			work = append(work, &parts[i][k])
		}
	}
	done = inParallel(ctx, o, work, func(p *part) { j.do(p) })
	for i := range out {
		out[i].collect(parts[i])
	}
	return out, done, len(work)
}

// inParallel does the work and gives how much of it was done before ctx ended.
func inParallel(ctx context.Context, o *Options, work []*part, do func(*part)) int {
	var all sync.WaitGroup
	var next atomic.Int64
	var mu sync.Mutex // guards done, and lets one goroutine at a time report
	done := 0
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	for range min(workers, len(work)) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(work) {
					return
				}
				do(work[i])
				mu.Lock()
				if done++; o.Progress != nil {
					o.Progress(done, len(work))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return done
}

func (r *Report) isolatesEgress() bool {
	return slices.ContainsFunc(r.Namespaces, func(n Namespace) bool { return n.Posture.Isolated[1] > 0 })
}
