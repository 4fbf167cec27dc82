package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// world is the part of the cluster that the fixtures arrange. What two of them have in common stays.
type world struct {
	suite *suite
	// config is the BulkheadConfig in force, empty while it changes.
	config string
	// have are the objects as they were asked for, by key.
	have map[string]*unstructured.Unstructured
	// resolver are the DNS objects that the cluster came with.
	resolver []*unstructured.Unstructured
	// others counts the pods of kube-system that are none of the world's, such as kube-proxy's.
	others int
	// nodes is how many pods a DaemonSet has.
	nodes int
	// beside counts what the snapshot holds that is none of the world's, by the names that the metric gives the kinds.
	beside map[string]int
}

// newWorld waits for the leftovers of other tests to go and takes stock of the resolver.
func newWorld(t *testing.T, s *suite) *world {
	t.Helper()
	w := &world{suite: s, config: baseConfig, have: map[string]*unstructured.Unstructured{}}
	eventually(t, "the namespaces of other tests to be gone", func(ctx context.Context) error {
		left, err := s.clients.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: namespaceLabel})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are left", len(left.Items))
		}
		return err
	})
	if s.plane != nil { // else it stays as it is
		w.findResolver(t)
	}
	w.takeStock(t)
	return w
}

// findResolver takes stock of the DNS objects of kube-system, as they can be created again.
func (w *world) findResolver(t *testing.T) {
	t.Helper()
	for _, part := range []struct{ kind, name string }{{"Service", "kube-dns"}, {"Deployment", "coredns"}} {
		o, err := w.suite.author.Resource(resources[part.kind]).Namespace("kube-system").Get(t.Context(), part.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		bare := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": o.Object["spec"],
			"metadata": map[string]any{"namespace": o.GetNamespace(), "name": o.GetName()},
		}}
		bare.SetLabels(o.GetLabels())
		w.resolver = append(w.resolver, bare)
		w.have[key(bare)] = bare
	}
}

func key(o *unstructured.Unstructured) string {
	return o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()
}

func text(o *unstructured.Unstructured) string {
	data, err := json.Marshal(o.Object)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// make brings the cluster to hold want and nothing else that another fixture wanted. First goes what has to go, then
// comes what is new, and Bulkhead sees the one before the other, so that counting tells when it has seen all. Meanwhile
// it reads its config.
func (w *world) make(t *testing.T, config string, want []*unstructured.Unstructured) {
	t.Helper()
	if w.config != config {
		w.config = ""
		w.suite.writeConfig(t, config)
	}
	wanted := map[string]*unstructured.Unstructured{}
	for _, o := range want {
		wanted[key(o)] = o
	}
	if w.remove(t, wanted) {
		w.settle(t)
	}
	var made []*unstructured.Unstructured
	for _, namespacesFirst := range []bool{true, false} {
		for _, o := range want {
			if w.have[key(o)] == nil && isNamespace(o.GetKind()) == namespacesFirst {
				w.suite.create(t, runnable(t, o))
				w.have[key(o)] = o
				made = append(made, o)
				if namespacesFirst {
					w.suite.awaitAccount(t, o.GetName())
				}
			}
		}
	}
	for _, o := range made {
		w.suite.awaitRunning(t, o)
	}
	if slices.ContainsFunc(made, isWorkload) {
		w.awaitPods(t)
	}
	if w.config != config {
		w.suite.awaitConfig(t, config)
		w.config = config
	}
	w.settle(t)
}

// remove deletes what is not wanted as it is, and says whether there was any.
func (w *world) remove(t *testing.T, wanted map[string]*unstructured.Unstructured) bool {
	t.Helper()
	unwanted := func(o *unstructured.Unstructured) bool {
		same := wanted[key(o)]
		return same == nil || text(same) != text(o)
	}
	var gone []*unstructured.Unstructured
	for _, o := range w.have {
		if unwanted(o) {
			gone = append(gone, o)
			continue
		}
		// With a namespace goes all that is in it.
		if ns := w.have["Namespace//"+o.GetNamespace()]; ns != nil && unwanted(ns) {
			gone = append(gone, o)
		}
	}
	// What is in a namespace first: pods that the namespace controller finds delay it further.
	for _, namespaces := range []bool{false, true} {
		var now []*unstructured.Unstructured
		for _, o := range gone {
			if isNamespace(o.GetKind()) == namespaces {
				now = append(now, o)
			}
		}
		w.delete(t, now)
	}
	return len(gone) > 0
}

// delete deletes objects and waits until they and their pods are gone.
func (w *world) delete(t *testing.T, gone []*unstructured.Unstructured) {
	t.Helper()
	now, background := int64(0), metav1.DeletePropagationBackground
	for _, o := range gone {
		err := w.suite.resource(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now, PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatalf("delete %s: %v", key(o), err)
		}
		delete(w.have, key(o))
	}
	for _, o := range gone {
		if isNamespace(o.GetKind()) && w.suite.plane != nil {
			w.suite.finalize(t, o.GetName())
		}
	}
	for _, o := range gone {
		eventually(t, key(o)+" to be gone", func(ctx context.Context) error {
			_, err := w.suite.resource(t, o).Get(ctx, o.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err == nil:
				return errors.New("it is still there")
			}
			return err
		})
	}
	if slices.ContainsFunc(gone, isWorkload) {
		w.awaitPods(t)
	}
}

// runnable is o as a real cluster takes it: pods end at once, and a CronJob starts none of itself meanwhile.
func runnable(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	out := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(text(o)), out); err != nil {
		t.Fatal(err)
	}
	var err error
	switch o.GetKind() {
	case "Pod":
		err = unstructured.SetNestedField(out.Object, int64(0), "spec", "terminationGracePeriodSeconds")
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		err = unstructured.SetNestedField(out.Object, int64(0), "spec", "template", "spec", "terminationGracePeriodSeconds")
	case "Service": // which addresses are free the API server knows
		if ip, _, _ := unstructured.NestedString(out.Object, "spec", "clusterIP"); ip != "None" {
			unstructured.RemoveNestedField(out.Object, "spec", "clusterIP")
		}
		unstructured.RemoveNestedField(out.Object, "spec", "clusterIPs")
	case "CronJob":
		err = unstructured.SetNestedField(out.Object, true, "spec", "suspend")
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// podOf gives the name of the first pod that a workload runs.
func (s *suite) podOf(t *testing.T, namespace, workload string) string {
	t.Helper()
	pods, err := s.clients.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; cluster.Governed(p) && cluster.WorkloadOf(p).Name == workload {
			return p.Name
		}
	}
	t.Fatalf("%s has no pod of %s", namespace, workload)
	return ""
}

func isNamespace(kind string) bool { return kind == "Namespace" }

// hasPods says whether pods come and go with the objects of a kind.
func hasPods(kind string) bool {
	return slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod"}, kind)
}

func isWorkload(o *unstructured.Unstructured) bool { return hasPods(o.GetKind()) }
