package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// testSoak keeps two replicas at a steady rate while objects change, and looks at what they take.
func (a *availability) testSoak(t *testing.T) {
	by := newIssuer(t)
	m := newMount(t, by.issue(t, time.Now().Add(23*time.Hour)))
	s := a.newSite(t, "soak", 2, by, m.path)
	to := s.newTarget(t)
	l := startLoad(to, a.extent.calm)
	wear := s.startWear(t, to, a.extent.sample)
	<-time.After(a.extent.soak) // the length is what is tested
	r := l.stop()
	a.report.figure(t, "requests", "%s", r)
	r.wantNoFailures(t)
	wear.report(t, a.report)
}

// wearing is what replicas take over time.
type wearing struct {
	cancel           context.CancelFunc
	running          sync.WaitGroup
	changes          int
	changed, sampled error
	samples          [][]sample // by replica
}

// sample is what a replica takes at a moment.
type sample struct{ seconds, residentMiB, goroutines, descriptors float64 }

// startWear changes the cluster all the time and takes samples.
func (s *site) startWear(t *testing.T, to *target, every time.Duration) *wearing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	w := &wearing{cancel: cancel, samples: make([][]sample, len(s.replicas))}
	w.running.Go(func() {
		repeat(ctx, every, func() bool {
			w.changed = s.change(ctx, to, w.changes)
			w.changes++
			return w.changed == nil
		})
	})
	start := time.Now()
	w.running.Go(func() {
		repeat(ctx, every, func() bool {
			for i, r := range s.replicas {
				now, err := takeSample(ctx, r)
				if err != nil {
					w.sampled = err
					return false
				}
				now.seconds = time.Since(start).Seconds()
				w.samples[i] = append(w.samples[i], now)
			}
			return true
		})
	})
	return w
}

// repeat calls a function at an interval until it gives false or ctx ends.
func repeat(ctx context.Context, every time.Duration, call func() bool) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for call() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// change stores a few changes of the kinds that a cluster has all day, which Bulkhead judges, sees and forgets again.
func (s *site) change(ctx context.Context, to *target, i int) error {
	core, policies := to.client.CoreV1(), to.client.NetworkingV1().NetworkPolicies(to.named)
	name := fmt.Sprintf("passing-%d", i)
	p := to.policy.DeepCopy()
	p.Name = name
	if _, err := policies.Create(ctx, p, metav1.CreateOptions{}); err != nil {
		return err
	}
	passing := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{SchedulerName: noScheduler, Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
	if _, err := core.Pods(to.named).Create(ctx, passing, metav1.CreateOptions{}); err != nil {
		return err
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if _, err := core.Services(to.named).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"turn":"t%d"}}}`, i)
	if _, err := core.Pods(to.named).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	if _, err := core.Namespaces().Patch(ctx, to.named, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	now := int64(0)
	for _, remove := range []func() error{
		func() error { return core.Services(to.named).Delete(ctx, name, metav1.DeleteOptions{}) },
		func() error {
			return core.Pods(to.named).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		},
		func() error { return policies.Delete(ctx, name, metav1.DeleteOptions{}) },
	} {
		if err := remove(); err != nil {
			return err
		}
	}
	return nil
}

// takeSample reads what a replica takes. Source of the fields: proc_pid_status(5).
func takeSample(ctx context.Context, r *replica.Replica) (sample, error) {
	out := sample{}
	resident, err := statusMiB(r.PID(), "VmRSS")
	if err != nil {
		return out, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.PID()))
	if err != nil {
		return out, err
	}
	metrics, err := r.Metrics(ctx)
	if err != nil {
		return out, err
	}
	out.residentMiB, out.descriptors = resident, float64(len(open))
	out.goroutines, _ = sum(metrics, "go_goroutines")
	return out, nil
}

// statusMiB reads a size from the kernel's account of a process, such as VmRSS or VmHWM.
func statusMiB(pid int, field string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut("\n"+string(data), "\n"+field+":")
	line, _, _ := strings.Cut(rest, "\n")
	if !found {
		return 0, fmt.Errorf("the kernel does not say %s of process %d", field, pid)
	}
	kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 64)
	return kib / 1024, err
}

// What a replica may take more at the end than at the beginning, by the line that fits the samples best.
const (
	mayGrowMiB         = 8
	mayGrowGoroutines  = 10
	mayGrowDescriptors = 10
	// A start is no steady state: within seconds these are allowed.
	briefly = 6
)

// report ends the changes and says how what the replicas take grew, without the first quarter.
func (w *wearing) report(t *testing.T, to *report) {
	t.Helper()
	w.cancel()
	w.running.Wait()
	for _, err := range []error{w.changed, w.sampled} {
		if err != nil && !errors.Is(err, context.Canceled) { // the end breaks off what is under way
			t.Errorf("change %d: %v", w.changes, err)
		}
	}
	for i, all := range w.samples {
		steady := all[len(all)/4:]
		if len(steady) < 10 {
			t.Fatalf("replica %d was looked at %d times", i, len(all))
		}
		length := steady[len(steady)-1].seconds - steady[0].seconds
		allowed := 1.0
		if length < 60 {
			allowed = briefly
		}
		for _, of := range []struct {
			what, unit string
			value      func(sample) float64
			most       float64
		}{
			{"resident memory", " MiB", func(s sample) float64 { return s.residentMiB }, mayGrowMiB},
			{"goroutines", "", func(s sample) float64 { return s.goroutines }, mayGrowGoroutines},
			{"descriptors", "", func(s sample) float64 { return s.descriptors }, mayGrowDescriptors},
		} {
			mean, slope := fit(steady, of.value)
			growth := slope * length
			to.figure(t, fmt.Sprintf("replica %d, %s", i, of.what), "%.1f%s on average, %+.2f%s in %.0f s by least squares (%+.2f a minute; %.0f allowed), %d samples, %d changes",
				mean, of.unit, growth, of.unit, length, slope*60, of.most*allowed, len(steady), w.changes)
			if growth > of.most*allowed {
				t.Errorf("replica %d: %s grew by %.1f%s in %.0f s", i, of.what, growth, of.unit, length)
			}
		}
	}
}

// fit gives the mean of a value and the slope, a second, of the line that fits it best by least squares.
func fit(samples []sample, value func(sample) float64) (mean, slope float64) {
	n, at := float64(len(samples)), 0.0
	for _, s := range samples {
		at += s.seconds / n
		mean += value(s) / n
	}
	over, under := 0.0, 0.0
	for _, s := range samples {
		over += (s.seconds - at) * (value(s) - mean)
		under += (s.seconds - at) * (s.seconds - at)
	}
	return mean, over / under
}
