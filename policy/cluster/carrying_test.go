package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestCarryingMissesNone: every namespace with a live pod that carries the labels is yielded, whatever came and went before.
func TestCarryingMissesNone(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := NewBuilder(Options{})
	live := map[string]*corev1.Pod{}
	drawn := func() labels.Set {
		l := labels.Set{}
		for _, k := range []string{"app", "tier", "pod-template-hash"} {
			if rng.IntN(3) > 0 {
				l[k] = fmt.Sprint(rng.IntN(4))
			}
		}
		return l
	}
	for step := range 2000 {
		ns, name := fmt.Sprintf("ns-%02d", rng.IntN(20)), fmt.Sprintf("p%d", rng.IntN(3))
		if rng.IntN(3) == 0 {
			delete(live, ns+"/"+name)
			b.DeletePod(ns, name)
		} else {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: drawn()}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
			live[ns+"/"+name] = p
			b.SetPod(PodOf(p))
		}
		wanted := drawn()
		s := b.Snapshot()
		var got []string
		for n := range s.Carrying(wanted) {
			got = append(got, n.Name)
		}
		if !slices.IsSorted(got) {
			t.Fatalf("step %d: %v is not sorted", step, got)
		}
		for _, p := range live {
			if wanted.AsSelector().Matches(labels.Set(p.Labels)) && !slices.Contains(got, p.Namespace) {
				t.Fatalf("step %d: %s carries %v and is not among %v", step, p.Namespace, wanted, got)
			}
		}
		shared := labels.Set{}
		for k, v := range wanted {
			if notPerPod(k) {
				shared[k] = v
			}
		}
		if len(shared) > 1 {
			continue // different pods may carry one each
		}
		for _, name := range got {
			if !slices.ContainsFunc(s.Live(s.Namespace(name)), func(w *Workload) bool { return shared.AsSelector().Matches(w.Labels) }) && len(shared) > 0 {
				t.Fatalf("step %d: %s carries no %v", step, name, shared)
			}
		}
	}
}
