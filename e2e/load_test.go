package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// target is what load is made on: a namespace with policies and pods, and one with pods alone.
type target struct {
	client      kubernetes.Interface
	named, bare string
	pod         string // of named
	policy      *networkingv1.NetworkPolicy
	deny        *networkingv1.NetworkPolicy
}

// newTarget makes the situation of a site's load.
func (s *site) newTarget(t *testing.T) *target {
	t.Helper()
	config := rest.CopyConfig(s.admin)
	config.QPS, config.WarningHandler = -1, rest.NoWarnings{}
	config.Impersonate = rest.ImpersonationConfig{UserName: dev, Groups: []string{masters}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	to := &target{client: client, named: s.namespaceOf(t), bare: s.namespaceOf(t), policy: typed(t, networkPolicy("allow-dns", allowDNS)), deny: typed(t, networkPolicy("default-deny", denyAll))}
	for _, namespace := range []string{to.named, to.bare} {
		s.put(t, namespace, deployment("web", 2, "app: web"))
	}
	s.put(t, to.named, networkPolicy("allow-dns", allowDNS))
	to.pod = s.firstPod(t, to.named, "app=web")
	eventually(t, "the replicas of "+s.name+" to know the target", func(ctx context.Context) error {
		for range 2 * len(s.replicas) {
			if _, err := to.ask(ctx, 0, kindDenied); err != nil {
				return err
			}
		}
		return nil
	})
	return to
}

func typed(t *testing.T, text string) *networkingv1.NetworkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{}
	if err := yaml.Unmarshal([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// The kinds of request. All are dry runs: nothing piles up, and Bulkhead judges them as it does any other.
const (
	kindCreate  = "create policy"
	kindUpdate  = "update policy"
	kindPod     = "create pod"
	kindRelabel = "label pod"
	kindDenied  = "deny policy" // one that is to be refused, after live reads
)

// kindOf is the mix: of twenty requests, one is a denial.
func kindOf(i int64) string {
	switch n := i % 20; {
	case n == 19:
		return kindDenied
	case n >= 16:
		return kindRelabel
	case n >= 12:
		return kindPod
	case n >= 8:
		return kindUpdate
	}
	return kindCreate
}

// ask makes one request through the API server. The error is nil only where the right answer came.
func (to *target) ask(ctx context.Context, i int64, kind string) (denied bool, err error) {
	dry := []string{metav1.DryRunAll}
	policies, pods := to.client.NetworkingV1().NetworkPolicies(to.named), to.client.CoreV1().Pods(to.named)
	switch kind {
	case kindDenied:
		_, err := to.client.NetworkingV1().NetworkPolicies(to.bare).Create(ctx, to.deny, metav1.CreateOptions{DryRun: dry})
		switch {
		case err == nil:
			return false, errors.New("a policy that cuts DNS was let pass")
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied the request: "+losesDNS):
			return true, nil
		}
		return false, err
	case kindUpdate:
		p := to.policy.DeepCopy()
		p.Annotations = map[string]string{"bulkhead-e2e": fmt.Sprint(i)}
		_, err = policies.Update(ctx, p, metav1.UpdateOptions{DryRun: dry})
	case kindPod:
		_, err = pods.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%d", i), Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
		}, metav1.CreateOptions{DryRun: dry})
	case kindRelabel:
		_, err = pods.Patch(ctx, to.pod, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"note":"n%d"}}}`, i), metav1.PatchOptions{DryRun: dry})
	default:
		p := to.policy.DeepCopy()
		p.Name = fmt.Sprintf("allow-dns-%d", i)
		_, err = policies.Create(ctx, p, metav1.CreateOptions{DryRun: dry})
	}
	return false, err
}

// load is a steady stream of requests.
type load struct {
	target *target
	kind   func(i int64) string
	start  time.Time
	done   atomic.Int64
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu        sync.Mutex
	denied    int
	latencies []time.Duration
	failed    map[string]int // by what came instead of the right answer
	at        []time.Time    // of the failures
}

// loadWorkers is how many requests may be under way. It is more than the idle connections that the API server keeps to a
// webhook, so that it makes new ones all the time.
const loadWorkers = 48

// startLoad asks so many times a second, or as often as the machine can.
func startLoad(to *target, rate int) *load { return startLoadOf(to, rate, kindOf) }

func startLoadOf(to *target, rate int, kind func(int64) string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{target: to, kind: kind, start: time.Now(), cancel: cancel, failed: map[string]int{}}
	tokens := make(chan int64)
	l.ended.Go(func() {
		defer close(tokens)
		tick := time.NewTicker(time.Second / 100)
		defer tick.Stop()
		for sent := int64(0); ; {
			for due := int64(time.Since(l.start).Seconds() * float64(rate)); sent < due; sent++ {
				select {
				case tokens <- sent:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	for range loadWorkers {
		l.ended.Go(func() {
			for i := range tokens {
				l.one(i)
			}
		})
	}
	return l
}

// requestWithin is more than an API server waits for a webhook.
const requestWithin = 30 * time.Second

// one makes a request, which the end of the load does not reach.
func (l *load) one(i int64) {
	ctx, cancel := context.WithTimeout(context.Background(), requestWithin)
	defer cancel()
	begin := time.Now()
	denied, err := l.target.ask(ctx, i, l.kind(i))
	took := time.Since(begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latencies = append(l.latencies, took)
	if denied {
		l.denied++
	}
	if err != nil {
		l.failed[l.kind(i)+": "+err.Error()]++
		l.at = append(l.at, time.Now())
	}
	l.done.Add(1)
}

// awaitRequests waits until so many more requests have been answered.
func (l *load) awaitRequests(t *testing.T, n int) {
	t.Helper()
	until := l.done.Load() + int64(n)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.done.Load() < until {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-tick.C:
		}
	}
}

// result is what a load came to.
type result struct {
	requests, denied, failures int
	perSecond                  float64
	p50, p99, longest          time.Duration
	why                        map[string]int
	at                         []time.Time
}

// stop ends the load once what is under way is answered.
func (l *load) stop() result {
	l.cancel()
	l.ended.Wait()
	took := time.Since(l.start)
	slices.Sort(l.latencies)
	n := len(l.latencies)
	r := result{requests: n, denied: l.denied, perSecond: float64(n) / took.Seconds(), why: l.failed, at: l.at}
	if n > 0 {
		r.p50, r.p99, r.longest = l.latencies[n/2], l.latencies[n*99/100], l.latencies[n-1]
	}
	for _, k := range l.failed {
		r.failures += k
	}
	return r
}

func (r result) String() string {
	return fmt.Sprintf("%d failed of %d (%d of them denied as they should be) at %.0f/s; p50 %s, p99 %s, longest %s", r.failures, r.requests,
		r.denied, r.perSecond, r.p50.Round(100*time.Microsecond), r.p99.Round(100*time.Microsecond), r.longest.Round(time.Millisecond))
}

// wantNoFailures fails where a request failed, and says why each kind did.
func (r result) wantNoFailures(t *testing.T) {
	t.Helper()
	if r.failures == 0 && r.requests > 0 && r.denied > 0 {
		return
	}
	t.Errorf("%s", r)
	for _, why := range slices.Sorted(maps.Keys(r.why)) {
		t.Errorf("%d times %s", r.why[why], why)
	}
}
