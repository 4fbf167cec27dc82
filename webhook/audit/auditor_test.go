package audit

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// world is a cluster in which a test says what a scan finds.
type world struct {
	t        *testing.T
	snapshot atomic.Pointer[cluster.Snapshot]
	config   atomic.Pointer[config.Config]
	auditor  *Auditor
	metrics  *Metrics
	registry *prometheus.Registry

	mu      sync.Mutex
	found   map[string]scan.Namespace // by namespace
	stale   []string
	scanned []string
	takes   time.Duration // a scan
}

// newWorld has the namespaces; o is completed.
func newWorld(t *testing.T, o Options, namespaces ...string) *world {
	t.Helper()
	w := &world{t: t, found: map[string]scan.Namespace{}, registry: prometheus.NewRegistry(), takes: time.Millisecond}
	w.be(namespaces...)
	w.config.Store(config.Default(nil))
	w.metrics = NewMetrics(w.registry, MetricsOptions{
		Actions:    func() map[string]string { return map[string]string{"dns-cut": "Deny"} },
		Namespaces: func() bool { return w.config.Load().Metrics.NamespaceLabel },
	})
	o.Snapshot, o.Config, o.Metrics, o.Logger = w.snapshot.Load, w.config.Load, w.metrics, slog.New(slog.NewTextHandler(io.Discard, nil))
	o.Namespace, o.Cluster = w.scan, func(*cluster.Snapshot, *config.Config) []scan.Finding {
		return w.scan(t.Context(), nil, nil, "").Findings
	}
	o.Stale = func(_, _ *cluster.Snapshot, _ *config.Config) []string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.stale
	}
	o.Look = time.Second
	if o.Sweep == 0 {
		o.Sweep = time.Hour
	}
	w.auditor = New(o)
	return w
}

// be makes the cluster one of those namespaces.
func (w *world) be(namespaces ...string) {
	b := cluster.NewBuilder(cluster.Options{})
	for _, name := range namespaces {
		b.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	w.snapshot.Store(b.Snapshot())
}

func (w *world) scan(_ context.Context, _ *cluster.Snapshot, _ *config.Config, name string) scan.Namespace {
	time.Sleep(w.takes)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scanned = append(w.scanned, name)
	out := w.found[name]
	out.Name = name
	return out
}

// finds sets what scans of a namespace find, each as "guardrail object" and with "?" at its end where it is about what may
// still come.
func (w *world) finds(namespace string, findings ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []scan.Finding
	for _, f := range findings {
		slug, name, _ := strings.Cut(strings.TrimSuffix(f, "?"), " ")
		list = append(list, scan.Finding{
			Finding: policy.Finding{Guardrail: slug, Action: config.Deny, WouldDeny: true, Violation: policy.Violation{Field: "spec", Detail: f}},
			Kind:    "NetworkPolicy", Name: name, NotYet: strings.HasSuffix(f, "?"),
		})
	}
	w.found[namespace] = scan.Namespace{Findings: list}
}

// scans gives what was scanned since it was last asked.
func (w *world) scans() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(w.scanned, " ")
	w.scanned = nil
	return out
}

// shown gives what the auditor says, as "namespace: detail".
func (w *world) shown() string {
	r := w.auditor.Report()
	if r == nil {
		return "nothing yet"
	}
	var out []string
	say := func(namespace string, list []scan.Finding) {
		for _, f := range list {
			out = append(out, namespace+": "+f.Detail)
		}
	}
	say("", r.Cluster)
	for _, n := range r.Namespaces {
		say(n.Name, n.Findings)
	}
	return strings.Join(out, ", ")
}

// lead has the auditor lead until it is stopped.
func (w *world) lead() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.auditor.Lead(ctx) }()
	return func() { cancel(); <-done }
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestSweepAndChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{}, "a", "b", "c")
		w.finds("b", "dns-cut one")
		want(t, "before it leads", w.shown(), "nothing yet")
		stop := w.lead()
		defer stop()
		time.Sleep(500 * time.Millisecond)
		want(t, "the first sweep scans", w.scans(), " a b c")
		want(t, "after it", w.shown(), "b: dns-cut one")

		time.Sleep(time.Minute)
		want(t, "where nothing changes it scans", w.scans(), "")

		w.stale = []string{"c", "gone"}
		w.finds("c", "dns-cut two")
		w.be("a", "b", "c", "d")
		time.Sleep(2 * time.Second)
		want(t, "a change has it scan", w.scans(), "c ")
		want(t, "after it", w.shown(), "b: dns-cut one, c: dns-cut two")

		w.stale = nil
		w.be("a", "c")
		time.Sleep(2 * time.Second)
		want(t, "what is gone", w.shown(), "c: dns-cut two")

		w.scans()
		w.config.Store(config.Default(nil))
		time.Sleep(2 * time.Second)
		want(t, "another config has it scan", w.scans(), " a c")
		time.Sleep(time.Hour)
		want(t, "after an hour it scans", w.scans(), " a c")
	})
}

// TestBusy: changes that never end do not keep a sweep from ending, and a sweep does not keep a change waiting.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 40 {
			names = append(names, fmt.Sprintf("ns-%02d", i))
		}
		w := newWorld(t, Options{}, names...)
		w.takes = 2 * time.Second
		stop := w.lead()
		defer stop()
		w.stale = []string{"ns-00", "ns-01"}
		for range 130 {
			time.Sleep(3 * time.Second)
			w.be(names...)
		}
		all := strings.Fields(w.scans())
		for _, name := range names {
			if !slices.Contains(all, name) {
				t.Errorf("%s was never scanned, of %d scans", name, len(all))
			}
		}
		if w.auditor.Report() == nil {
			t.Error("the sweep has not ended")
		}
		if w.stale[0] != "ns-00" || strings.Count(strings.Join(all, " "), "ns-00") < 10 {
			t.Error("changes were kept waiting by the sweep")
		}
	})
}

// TestPace: it rests as long as it works.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{}, "a", "b", "c", "d")
		w.takes = 100 * time.Millisecond
		begin := time.Now()
		stop := w.lead()
		for w.auditor.Report() == nil {
			time.Sleep(time.Millisecond)
		}
		took := time.Since(begin)
		stop()
		if worked := 5 * w.takes; took < 2*worked || took > 2*worked+50*time.Millisecond {
			t.Errorf("%s of work took %s", worked, took)
		}
	})
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Grace: 15 * time.Minute}, "a")
		w.finds("a", "dns-cut one", "peer-no-pods two?")
		stop := w.lead()
		defer stop()
		time.Sleep(10 * time.Minute)
		want(t, "within the grace", w.shown(), "a: dns-cut one")

		// It is put right for a moment: the grace begins anew.
		w.stale = []string{"a"}
		w.finds("a", "dns-cut one")
		w.be("a")
		time.Sleep(5 * time.Second)
		w.finds("a", "dns-cut one", "peer-no-pods two?")
		w.be("a")
		time.Sleep(10 * time.Minute)
		want(t, "within the second grace", w.shown(), "a: dns-cut one")
		w.scans()
		time.Sleep(5*time.Minute + 5*time.Second)
		want(t, "after it", w.shown(), "a: dns-cut one, a: peer-no-pods two?")
		want(t, "and for that it scans", w.scans(), "")
		w.be("a")
		time.Sleep(5 * time.Second)
		want(t, "once more", w.shown(), "a: dns-cut one, a: peer-no-pods two?")
	})
}

// TestForgets: who no longer leads says nothing, and begins anew when it leads again.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{}, "a", "b")
		w.finds("a", "dns-cut one")
		w.lead()()
		want(t, "no leader", w.shown(), "nothing yet")
		w.scans()
		stop := w.lead()
		time.Sleep(time.Second)
		want(t, "when it leads again it scans", w.scans(), " a b")
		want(t, "and says", w.shown(), "a: dns-cut one")
		stop()
		want(t, "no leader", w.shown(), "nothing yet")
	})
}

// TestFailures: a guardrail that fails is counted, and the rest stands.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{}, "a")
		w.finds("a", "dns-cut one")
		failed := w.found["a"]
		failed.Failures = []policy.Failure{{Guardrail: "endport", Err: fmt.Errorf("panic")}}
		w.found["a"] = failed
		stop := w.lead()
		defer stop()
		time.Sleep(time.Second)
		want(t, "it says", w.shown(), "a: dns-cut one")
		if n := testutil.ToFloat64(w.metrics.failures.WithLabelValues("endport")); n != 1 {
			t.Errorf("%v failures", n)
		}
	})
}
