package audit

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"

	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/openreports"
)

const (
	// writesPerSecond bounds what reports cost the API server, and writesAtOnce what may come together.
	writesPerSecond = 10
	writesAtOnce    = 20
	// loadRetry is how long to wait where reports cannot be listed; the real pauses are up to a fifth longer.
	loadRetry = 15 * time.Second
	// firstRetry and lastRetry bound the growing wait before a report is written once more.
	firstRetry, lastRetry = time.Second, 5 * time.Minute
	// checkKey stands in the queue for a look at what is stored.
	checkKey = "\x00"
)

// Reports keeps the OpenReports reports in the cluster as they are to be. Nothing is written that is there already.
type Reports struct {
	client  dynamic.Interface
	metrics *Metrics
	logger  *slog.Logger
	limit   *rate.Limiter

	mu     sync.Mutex // guards what follows
	said   string     // what was last logged as the reason for which nothing is written
	tried  chan struct{}
	wanted map[string]*document
	stored map[string]*document
	queue  workqueue.TypedRateLimitingInterface[string]
}

// NewReports gives Reports that do nothing before Run.
func NewReports(client dynamic.Interface, metrics *Metrics, logger *slog.Logger) *Reports {
	r := &Reports{client: client, metrics: metrics, logger: logger, limit: rate.NewLimiter(writesPerSecond, writesAtOnce)}
	r.reset()
	return r
}

func (r *Reports) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said, r.tried, r.wanted, r.stored = "", make(chan struct{}), map[string]*document{}, map[string]*document{}
	r.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry))
}

// Await waits until it has been tried once to read what is stored, or ctx ends.
func (r *Reports) Await(ctx context.Context) {
	r.mu.Lock()
	tried := r.tried
	r.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-tried:
	}
}

// Since gives by its identity when each result of the stored report of a namespace was first found.
func (r *Reports) Since(namespace string) map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.stored[namespace]; d != nil {
		return maps.Clone(d.since)
	}
	return nil
}

// Written gives by namespace when its report was last changed.
func (r *Reports) Written() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]time.Time{}
	for namespace, d := range r.stored {
		out[namespace] = d.written
	}
	return out
}

// Put says what the report of a namespace is to hold, and since when each of its results has been there. It is written in a while.
func (r *Reports) Put(namespace string, found *scan.Namespace, since map[string]time.Time) {
	d, err := documentOf(namespace, found, func(id string) time.Time { return since[id] })
	if err != nil {
		r.logger.Error("a report cannot be written", "namespace", namespace, "error", err.Error())
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted[namespace] = d
	r.queue.Add(namespace)
}

// Forget drops namespaces that are gone, and their reports with them.
func (r *Reports) Forget(namespaces []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range namespaces {
		delete(r.wanted, name)
		delete(r.stored, name)
	}
}

// Check has the stored reports read again, so that what others did to them is put right.
func (r *Reports) Check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue.Add(checkKey)
}

// Run writes until ctx ends, and forgets everything then.
func (r *Reports) Run(ctx context.Context) {
	defer r.reset()
	r.mu.Lock()
	queue := r.queue
	r.mu.Unlock()
	defer context.AfterFunc(ctx, queue.ShutDown)()
	defer queue.ShutDown()
	for ctx.Err() == nil {
		err := r.load(ctx)
		r.loaded()
		if err != nil {
			r.unable(ctx, err)
			rest(ctx, wait.Jitter(loadRetry, 0.2))
			continue
		}
		r.able()
		r.write(ctx, queue)
	}
}

func (r *Reports) loaded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.tried:
	default:
		close(r.tried)
	}
}

// unable counts and logs why nothing is written: once, until the reason changes.
func (r *Reports) unable(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.metrics.reports.WithLabelValues(resultFailed).Inc()
	if isMissing(err) {
		err = errNoKind
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said != err.Error() {
		r.said = err.Error()
		r.logger.Error("reports are not written", "error", r.said, "retrySeconds", loadRetry.Seconds())
	}
}

func (r *Reports) able() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said != "" {
		r.logger.Info("reports are written again")
	}
	r.said = ""
	for namespace := range r.wanted {
		r.queue.Add(namespace)
	}
}

// write works on the queue until what is stored has to be read again.
func (r *Reports) write(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string]) {
	for {
		namespace, ended := queue.Get()
		if ended {
			return
		}
		if namespace == checkKey {
			queue.Done(namespace)
			return
		}
		err := r.bring(ctx, namespace)
		queue.Done(namespace)
		switch {
		case err == nil:
			queue.Forget(namespace)
		case ctx.Err() != nil:
			return
		case isMissing(err):
			return // and what is wanted comes back into the queue once it can be written
		default:
			r.metrics.reports.WithLabelValues(resultFailed).Inc()
			r.logger.Warn("a report could not be written and will be tried again", "namespace", namespace, "error", err.Error())
			queue.AddRateLimited(namespace)
		}
	}
}

// bring makes the stored report of a namespace what it is to be.
func (r *Reports) bring(ctx context.Context, namespace string) error {
	r.mu.Lock()
	wanted, known := r.wanted[namespace]
	stored := r.stored[namespace]
	r.mu.Unlock()
	if !known {
		return nil // the namespace is gone
	}
	if wanted.same(stored) {
		r.metrics.reports.WithLabelValues(resultUnchanged).Inc()
		return nil
	}
	if err := r.limit.Wait(ctx); err != nil {
		return err
	}
	result := resultWritten
	var err error
	if wanted == nil {
		result, err = resultDeleted, r.remove(ctx, namespace)
	} else {
		err = r.apply(ctx, namespace, wanted)
	}
	if isOver(err) {
		return nil // nobody can write into a namespace that is going, and its report goes with it
	}
	if err != nil {
		return err
	}
	r.metrics.reports.WithLabelValues(result).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if wanted == nil {
		delete(r.stored, namespace)
		return nil
	}
	now := *wanted
	now.written = time.Now()
	r.stored[namespace] = &now
	return nil
}

// documentOf gives what a report is to hold, nil for none.
func documentOf(namespace string, found *scan.Namespace, since openreports.Since) (*document, error) {
	if namespace == clusterWide {
		if report := openreports.Cluster(found.Findings, since); report != nil {
			return newDocument(report, report.Results)
		}
		return nil, nil
	}
	if report := openreports.Namespace(found, since); report != nil {
		return newDocument(report, report.Results)
	}
	return nil, nil
}
