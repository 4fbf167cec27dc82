package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testOutage takes the API server away from Bulkhead, first so that connections fail, then so that they go silent. The
// API server goes on asking Bulkhead, and the cluster goes on changing.
func (a *availability) testOutage(t *testing.T) {
	by := newIssuer(t)
	m := newMount(t, by.issue(t, time.Now().Add(23*time.Hour)))
	s := a.newSite(t, "outage", 2, by, m.path)
	to := s.newTarget(t)
	t.Run("Cut", func(t *testing.T) { a.outage(t, s, to, a.extent.cut, s.link.Cut, s.link.Mend) })
	t.Run("Frozen", func(t *testing.T) { a.outage(t, s, to, a.extent.frozen, s.link.Freeze, s.link.Thaw) })
}

// outage has Bulkhead decide without the API server for a while, and then catch up.
func (a *availability) outage(t *testing.T, s *site, to *target, last time.Duration, begin, end func()) {
	running, fixed := s.namespaceOf(t), s.namespaceOf(t)
	s.put(t, fixed, deployment("web", 2, "app: web"))
	wall := func(namespace string) error { return s.denies(t.Context(), to, namespace) }
	s.eventuallyEach(t, "Bulkhead to know both namespaces", func() error {
		return errors.Join(wantDenial(wall(fixed)), wantPass(wall(running)))
	})
	failedBefore := s.metric(t, "bulkhead_confirmations_total", `result="failed"`)
	unready := s.watchReadiness(t)

	began := time.Now()
	begin()
	ended := false
	defer func() {
		if !ended {
			end()
		}
	}()
	l := startLoadOf(to, a.extent.calm, rarelyDenied)
	s.put(t, running, deployment("web", 2, "app: web"))
	s.put(t, fixed, networkPolicy("allow-dns", allowDNS))
	if err := errors.Join(wantDenial(wall(fixed)), wantPass(wall(running))); err != nil {
		t.Errorf("without the API server the last snapshot is to decide: %v", err)
	}
	s.wantUnknownRefused(t)
	<-time.After(time.Until(began.Add(last)))
	took := time.Since(began)
	for i, ages := range s.ages(t) {
		for resource, age := range ages {
			if age < took.Seconds()-1 {
				t.Errorf("replica %d: after %.1f s without the API server it says that it heard of %s %.1f s ago", i, took.Seconds(), resource, age)
			}
		}
	}
	r := l.stop()
	a.report.figure(t, fmt.Sprintf("%.0f s without the API server", took.Seconds()), "%s", r)
	r.wantNoFailures(t)
	if n := s.metric(t, "bulkhead_confirmations_total", `result="failed"`); n <= failedBefore {
		t.Error("no denial was counted that live reads could not confirm")
	}

	ended = true
	end()
	mended := time.Now()
	s.eventuallyEach(t, "Bulkhead to catch up", func() error {
		return errors.Join(wantPass(wall(fixed)), wantDenial(wall(running)))
	})
	a.report.figure(t, "right about what changed meanwhile after", "%.1f s", time.Since(mended).Seconds())
	if took > bookmarksEvery {
		s.awaitHeard(t, took)
	}
	if n := unready(); n != 0 {
		t.Errorf("%d times a replica was not ready", n)
	}
}

// rarelyDenied is the mix while denials take the two seconds that live reads may last.
func rarelyDenied(i int64) string {
	if kind := kindOf(i); kind != kindDenied || i%100 == 99 {
		return kind
	}
	return kindCreate
}

// denies asks the API server whether a policy that cuts DNS would be stored: nil where it would.
func (s *site) denies(ctx context.Context, to *target, namespace string) error {
	_, err := to.client.NetworkingV1().NetworkPolicies(namespace).Create(ctx, to.deny, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

func wantDenial(err error) error {
	if err == nil {
		return errors.New("a policy that cuts DNS was let pass")
	}
	if !strings.Contains(err.Error(), "denied the request: "+losesDNS) {
		return err
	}
	return nil
}

func wantPass(err error) error {
	if err != nil {
		return fmt.Errorf("a policy that cuts nothing: %w", err)
	}
	return nil
}

// eventuallyEach waits for a condition that all replicas meet: it has to hold several times running, while the Service has
// connections to each.
func (s *site) eventuallyEach(t *testing.T, what string, condition func() error) {
	t.Helper()
	held := 0
	s.within(t, what, func() error {
		held++
		if err := condition(); err != nil {
			held = 0
			return err
		}
		if want := 6 * len(s.replicas); held < want {
			return fmt.Errorf("it held %d times running, want %d", held, want)
		}
		return nil
	})
}

// wantUnknownRefused creates a namespace of which Bulkhead hears nothing: it cannot judge what is in it.
func (s *site) wantUnknownRefused(t *testing.T) {
	t.Helper()
	unknown := s.namespaceOf(t)
	a := s.dev(t, networkPolicy("allow-dns", allowDNS), "create", "-n", unknown, "--dry-run=server", "-f", "-")
	if err := refusedUnjudged(a, ""); err != nil {
		t.Errorf("a policy in a namespace that Bulkhead cannot know: %v", err)
	}
}

// ages gives for each replica how long each resource has been silent, in seconds.
func (s *site) ages(t *testing.T) []map[string]float64 {
	t.Helper()
	var out []map[string]float64
	for _, r := range s.replicas {
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ages := map[string]float64{}
		for line := range strings.Lines(metrics) {
			if rest, is := strings.CutPrefix(line, `bulkhead_snapshot_age_seconds{resource="`); is {
				resource, _, _ := strings.Cut(rest, `"`)
				ages[resource], _ = sum(line, "bulkhead_snapshot_age_seconds")
			}
		}
		out = append(out, ages)
	}
	return out
}

// bookmarksEvery is more than the API server leaves a watch without a word.
const bookmarksEvery = 75 * time.Second

// awaitHeard waits until each replica has heard of every resource again.
func (s *site) awaitHeard(t *testing.T, outage time.Duration) {
	t.Helper()
	s.within(t, "every resource to be watched again", func() error {
		for i, ages := range s.ages(t) {
			for resource, age := range ages {
				if age >= outage.Seconds() {
					return fmt.Errorf("replica %d last heard of %s %.0f s ago", i, resource, age)
				}
			}
		}
		return nil
	})
}

// catchUpWithin is more than the longest pause between two attempts to list and watch again.
const catchUpWithin = 3 * time.Minute

// within waits as long as catching up may take.
func (s *site) within(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), catchUpWithin)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v; at last: %v", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// watchReadiness asks every replica all the time whether it is ready. What it gives ends that and says how often one was
// not.
func (s *site) watchReadiness(t *testing.T) func() int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var unready atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, r := range s.replicas {
				if err := readyNow(ctx, r); err != nil && ctx.Err() == nil {
					unready.Add(1)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { cancel(); <-done; return unready.Load() }
}
