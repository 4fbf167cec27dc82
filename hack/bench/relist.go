package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// relisting is what listing the whole cluster costs, and whether any review was judged on a part of it.
type relisting struct {
	FirstSeconds float64  `json:"firstSeconds"` // from the start of the process to readiness
	First        answers  `json:"first"`
	FirstPeak    int64    `json:"firstPeak"`
	Received     int64    `json:"receivedAtFirst"` // bytes from the API server
	Before       int64    `json:"peakBefore"`
	Relists      []relist `json:"relists"`
}

// relist is one list of everything anew, after the API server was restarted.
type relist struct {
	Seconds  float64 `json:"seconds"` // until the webhook heard of pods again, once the API server was ready
	Received int64   `json:"received"`
	Peak     int64   `json:"peak"`
	Answers  answers `json:"answers"`
}

// answers counts what the reviews came to.
type answers struct {
	NotYet int64 `json:"notYet"` // HTTP 503
	Right  int64 `json:"right"`
	Wrong  int64 `json:"wrong"`
}

// question is a review with one right answer. Those of the namespace that every list ends with have another one where
// only a part of the cluster is known.
type question struct {
	request []byte
	allowed bool
}

// measureRelist asks while another replica starts, and while the API server is restarted and everything is listed anew.
func (b *bench) measureRelist(ctx context.Context) error {
	if b.Relists == 0 {
		return nil
	}
	out := &relisting{}
	b.result.Relisting = out
	questions, err := b.questions(ctx)
	if err != nil {
		return err
	}
	if err := b.firstList(ctx, questions, out); err != nil {
		return err
	}
	before, err := readResidence(b.replica.PID())
	if err != nil {
		return err
	}
	out.Before = before.Peak
	for range b.Relists {
		one, err := b.relistOnce(ctx, questions)
		if err != nil {
			return err
		}
		out.Relists = append(out.Relists, one)
		b.say("relist: %+v", one)
	}
	return nil
}

// questions finds, in the last namespaces by name, the deletion of a policy that is denied and a policy that is allowed
// since others are there.
func (b *bench) questions(ctx context.Context) ([]question, error) {
	last := b.scaled.Tenant(0)
	for i := range b.scaled.Tenants() {
		if t := b.scaled.Tenant(i); b.scaled.Namespace(t).Name > b.scaled.Namespace(last).Name {
			last = t
		}
	}
	here := target{"bulkhead", strings.TrimPrefix(b.replica.URL, "https://"), b.certificates.client()}
	c, err := dial(ctx, here)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	var out []question
	ask := func(kind string, old, new *networkingv1.NetworkPolicy, want bool) (bool, error) {
		r, err := policyReview(kind, old, new)
		if err != nil {
			return false, err
		}
		q := question{request: request(here.address, r.body), allowed: want}
		o, err := c.send(q.request)
		if err != nil || o.status != 200 || o.allowed != want {
			return false, err
		}
		out = append(out, q)
		return true, nil
	}
	for _, np := range b.scaled.Policies(last) {
		if found, err := ask(policyDelete, np, nil, false); found || err != nil {
			if err != nil {
				return nil, err
			}
			break
		}
	}
	deny := b.scaled.Policies(last)[0].DeepCopy()
	deny.Name = "deny-once-more"
	deny.Spec = networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}}
	if _, err := ask(policyCreate, nil, deny, true); err != nil {
		return nil, err
	}
	if len(out) != 2 {
		return nil, fmt.Errorf("namespace %s gives %d of 2 questions: choose other sizes of the cluster", b.scaled.Namespace(last).Name, len(out))
	}
	return out, nil
}

// policyReview is admissionReview for policies, of which either may be nil.
func policyReview(kind string, old, new *networkingv1.NetworkPolicy) (review, error) {
	if old == nil {
		return admissionReview(kind, "networking.k8s.io", "networkpolicies", 0, nil, new)
	}
	return admissionReview(kind, "networking.k8s.io", "networkpolicies", 0, old, nil)
}

// firstList starts another replica and asks it from the beginning.
func (b *bench) firstList(ctx context.Context, questions []question, out *relisting) (err error) {
	restore, err := setenv(map[string]string{"GOMEMLIMIT": b.MemoryLimit, "GOGC": b.GCPercent})
	if err != nil {
		return err
	}
	received, start := b.link.Received(), time.Now()
	second, err := replica.Launch(b.options(filepath.Join(b.dir, "second.log")))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, second.Stop()) }()
	if err := restore(); err != nil {
		return err
	}
	asked := b.ask(ctx, second, questions)
	defer asked.cancel()
	readyCtx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := second.AwaitReady(readyCtx); err != nil {
		return err
	}
	out.FirstSeconds = time.Since(start).Seconds()
	out.First, out.Received = asked.stop(ctx), b.link.Received()-received
	now, err := readResidence(second.PID())
	out.FirstPeak = now.Peak
	b.say("first list: ready after %.1f s with at most %d MiB, %d MiB received: %+v", out.FirstSeconds, mib(out.FirstPeak), mib(out.Received), out.First)
	return err
}

// relistOnce restarts the API server, which then knows nothing of what the webhook had watched before.
func (b *bench) relistOnce(ctx context.Context, questions []question) (relist, error) {
	asked := b.ask(ctx, b.replica, questions)
	defer asked.cancel()
	received := b.link.Received()
	if err := b.plane.StopComponent(controlplane.APIServer); err != nil {
		return relist{}, err
	}
	if err := b.plane.StartComponent(ctx, controlplane.APIServer); err != nil {
		return relist{}, err
	}
	start := time.Now()
	if err := b.awaitPods(ctx, start); err != nil {
		return relist{}, err
	}
	out := relist{Seconds: time.Since(start).Seconds(), Received: b.link.Received() - received}
	out.Answers = asked.stop(ctx)
	now, err := readResidence(b.replica.PID())
	out.Peak = now.Peak
	return out, err
}

// awaitPods changes a pod until the webhook has heard of pods since that moment: by a list or a watch that works again.
func (b *bench) awaitPods(ctx context.Context, since time.Time) error {
	client, err := kubernetes.NewForConfig(b.plane.RESTConfig())
	if err != nil {
		return err
	}
	p := b.scaled.Pods(b.scaled.Tenant(0))[0]
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/at":"%d"}}}`, time.Now().UnixNano())
		if _, err := client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
		text, err := b.replica.Metrics(ctx)
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(text, "\nbulkhead_snapshot_age_seconds{resource=\"pods\"} ")
		age := 0.0
		if _, err := fmt.Sscan(rest, &age); err != nil {
			return fmt.Errorf("the age of pods: %w", err)
		}
		if age < time.Since(since).Seconds() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// askEvery is how often each connection asks: often enough to catch a moment, and no load.
const askEvery = 5 * time.Millisecond

// asker asks a replica and counts what it answers.
type asker struct {
	notYet, right, wrong atomic.Int64
	cancel               context.CancelFunc
	group                sync.WaitGroup
}

// ask sends the questions over and over. While the replica does not listen yet, there is no answer to count.
func (b *bench) ask(ctx context.Context, r *replica.Replica, questions []question) *asker {
	a := &asker{}
	ctx, a.cancel = context.WithCancel(ctx)
	to := target{"bulkhead", strings.TrimPrefix(r.URL, "https://"), b.certificates.client()}
	for _, q := range slices.Concat(questions, questions) {
		a.group.Go(func() {
			tick := time.NewTicker(askEvery)
			defer tick.Stop()
			var c *connection
			for ctx.Err() == nil {
				<-tick.C
				if c == nil {
					var err error
					if c, err = dial(ctx, to); err != nil {
						continue
					}
				}
				if !a.once(c, q) {
					_ = c.conn.Close()
					c = nil
				}
			}
			if c != nil {
				_ = c.conn.Close()
			}
		})
	}
	return a
}

// once asks one question; it gives false where the connection is of no more use.
func (a *asker) once(c *connection, q question) bool {
	o, err := c.send(q.request)
	switch {
	case err != nil:
		return false
	case o.status == http.StatusServiceUnavailable:
		a.notYet.Add(1)
	case o.status == http.StatusOK && o.allowed == q.allowed:
		a.right.Add(1)
	default:
		a.wrong.Add(1)
	}
	return true
}

// moreAnswers is how many answers show what a replica goes by now.
const moreAnswers = 100

// stop waits for some more answers and ends.
func (a *asker) stop(ctx context.Context) answers {
	enough := a.right.Load() + a.wrong.Load() + moreAnswers
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for a.right.Load()+a.wrong.Load() < enough && ctx.Err() == nil {
		<-tick.C
	}
	a.cancel()
	a.group.Wait()
	return answers{NotYet: a.notYet.Load(), Right: a.right.Load(), Wrong: a.wrong.Load()}
}
