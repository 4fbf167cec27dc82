package cluster_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// TestCarryingFollowsThePods: what was found before a pod came or went is not what is found after it, in the builder's snapshots
// and in those that are derived from one; older snapshots keep their answer.
func TestCarryingFollowsThePods(t *testing.T) {
	pod := func(namespace string) *cluster.Pod {
		return cluster.PodOf(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "edge", Labels: map[string]string{"app": "edge", "tier": "front"}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning},
		})
	}
	carrying := func(s *cluster.Snapshot) (names string) {
		for n := range s.Carrying(labels.Set{"app": "edge", "tier": "front"}, labels.Set{"app": "other"}) {
			names += n.Name + " "
		}
		return names
	}
	check := func(what string, s *cluster.Snapshot, want string) {
		t.Helper()
		if got := carrying(s); got != want {
			t.Errorf("%s: found in %q, want %q", what, got, want)
		}
	}
	b := cluster.NewBuilder(cluster.Options{})
	b.SetPod(pod("a"))
	first := b.Snapshot()
	check("one pod", first, "a ")
	b.SetPod(pod("b"))
	second := b.Snapshot()
	check("another one", second, "a b ")
	check("before it came", first, "a ")
	check("with a pod more", second.WithPod(pod("c")), "a b c ")
	check("with a pod less", second.WithoutPod(pod("a")), "b ")
	check("read live", second.WithContents("a", cluster.NamespaceContents{}), "b ")
	check("as it was", second, "a b ")
	b.DeletePod("a", "edge")
	check("one that went", b.Snapshot(), "b ")
}
