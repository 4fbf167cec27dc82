package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// takeStock counts what the cluster holds beside the world.
func (w *world) takeStock(t *testing.T) {
	t.Helper()
	nodes, err := w.suite.clients.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.nodes = len(nodes.Items)
	pods, err := w.suite.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.others = pods["kube-system"] - w.expectedPods()["kube-system"]
	if w.beside, err = w.suite.countObjects(t.Context()); err != nil {
		t.Fatal(err)
	}
	for kind, n := range w.countObjects() {
		w.beside[kind] -= n
	}
}

// settle waits until both replicas know the world and what else the cluster holds, and no more. The latter is the same
// all the time, except in a cluster that others use as well.
func (w *world) settle(t *testing.T) {
	t.Helper()
	if w.suite.plane == nil {
		w.suite.settle(t)
		return
	}
	want := maps.Clone(w.beside)
	for kind, n := range w.countObjects() {
		want[kind] += n
	}
	eventually(t, "Bulkhead to see the world as it is", func(ctx context.Context) error { return w.suite.seen(ctx, want) })
}

// countObjects counts what the snapshot is to hold of the world, by the names that the metric gives the kinds.
func (w *world) countObjects() map[string]int {
	out := map[string]int{}
	for _, n := range w.expectedPods() {
		out["pod"] += n
	}
	for _, o := range w.have {
		if k, known := extraKind(o.GetKind()); known && kept(k, o) {
			out["other"]++
		}
		switch kind := o.GetKind(); {
		case slices.Contains(cluster.TemplateKinds[:], kind):
			out["template"]++
		case slices.Contains([]string{"Namespace", "NetworkPolicy", "Service", "ClusterNetworkPolicy"}, kind):
			out[strings.ToLower(kind)]++
		}
	}
	return out
}

// awaitPods waits until the namespaces of the world hold the pods of its workloads and no leftovers of deleted ones.
func (w *world) awaitPods(t *testing.T) {
	t.Helper()
	want := w.expectedPods()
	want["kube-system"] += w.others
	eventually(t, "the pods of the workloads and no others", func(ctx context.Context) error {
		got, err := w.suite.pods(ctx)
		if err != nil {
			return err
		}
		for namespace, n := range want {
			if got[namespace] != n {
				return fmt.Errorf("there are %d in %s, not %d", got[namespace], namespace, n)
			}
		}
		return nil
	})
}

// pods counts the pods of each namespace, those that are leaving included.
func (s *suite) pods(ctx context.Context) (map[string]int, error) {
	pods, err := s.clients.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for i := range pods.Items {
		out[pods.Items[i].Namespace]++
	}
	return out, nil
}

// expectedPods counts the pods that the workloads of the world are to have in each of its namespaces.
func (w *world) expectedPods() map[string]int {
	out := map[string]int{"kube-system": 0}
	for _, o := range w.have {
		n := 0
		switch o.GetKind() {
		case "Pod":
			n = 1
		case "DaemonSet":
			n = w.nodes
		case "Deployment", "StatefulSet", "ReplicaSet":
			replicas, set, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "replicas")
			if !set {
				replicas = 1
			}
			n = count(replicas)
		case "Namespace":
			out[o.GetName()] += 0
		}
		if o.GetNamespace() != "" {
			out[o.GetNamespace()] += n
		}
	}
	return out
}

// count reads a number, which is a float64 in what was decoded from a fixture and an int64 in what the API gave.
func count(n any) int {
	switch n := n.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	case int:
		return n
	}
	return 0
}
