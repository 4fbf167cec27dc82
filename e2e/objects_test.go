package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// resources are the API's names of the kinds that the tests make.
var resources = map[string]schema.GroupVersionResource{
	"Namespace":      {Version: "v1", Resource: "namespaces"},
	"Pod":            {Version: "v1", Resource: "pods"},
	"Service":        {Version: "v1", Resource: "services"},
	"ConfigMap":      {Version: "v1", Resource: "configmaps"},
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"NetworkPolicy":  {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"Deployment":     {Group: "apps", Version: "v1", Resource: "deployments"},
	"StatefulSet":    {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"DaemonSet":      {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"ReplicaSet":     {Group: "apps", Version: "v1", Resource: "replicasets"},
	"Job":            {Group: "batch", Version: "v1", Resource: "jobs"},
	"CronJob":        {Group: "batch", Version: "v1", Resource: "cronjobs"},

	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"ClusterNetworkPolicy":     {Group: "policy.networking.k8s.io", Version: "v1alpha2", Resource: "clusternetworkpolicies"},
}

// image runs on a real cluster, too, and does nothing there.
const image = "registry.k8s.io/pause:3.10"

// parse reads the documents of a YAML stream.
func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o.Object) > 0 {
			out = append(out, o)
		}
	}
	return out
}

// resource gives the client for objects of the kind and in the namespace of o, acting as author.
func (s *suite) resource(t *testing.T, o *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	name, known := resources[o.GetKind()]
	if k, of := extraKind(o.GetKind()); of {
		name, known = k.GroupVersionResource, true
	}
	if !known {
		t.Fatalf("the tests know no kind %q", o.GetKind())
	}
	if o.GetNamespace() == "" {
		return s.author.Resource(name)
	}
	return s.author.Resource(name).Namespace(o.GetNamespace())
}

// create makes an object as author, whom Bulkhead does not judge.
func (s *suite) create(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	if _, err := s.resource(t, o).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create %s %s/%s: %v", o.GetKind(), o.GetNamespace(), o.GetName(), err)
	}
}

// namespaceLabel marks the namespaces that newNamespace makes.
const namespaceLabel = "bulkhead-e2e"

// newNamespace makes a namespace that no other test uses, and that can hold pods at once. It is deleted after the test.
func (s *suite) newNamespace(t *testing.T) string {
	t.Helper()
	ns, err := s.clients.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "bulkhead-e2e-", Labels: map[string]string{namespaceLabel: "true"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.deleteNamespace(t, ns.Name) })
	s.awaitAccount(t, ns.Name)
	return ns.Name
}

// awaitAccount waits for what a namespace needs before pods can be created in it.
func (s *suite) awaitAccount(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, "the service account of "+namespace, func(ctx context.Context) error {
		_, err := s.clients.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// deleteNamespace starts the deletion; its end is awaited by nobody.
func (s *suite) deleteNamespace(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's own has ended
	defer cancel()
	if err := s.clients.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Errorf("delete namespace %s: %v", name, err)
	}
}

// finalize ends a namespace that is being deleted and holds nothing any more but what Kubernetes put there by itself. The
// namespace controller would do the same, only after it has let the namespace rest for 5 s.
func (s *suite) finalize(t *testing.T, name string) {
	t.Helper()
	core := s.clients.CoreV1()
	every := metav1.ListOptions{}
	err := errors.Join(
		core.ServiceAccounts(name).DeleteCollection(t.Context(), metav1.DeleteOptions{}, every),
		core.ConfigMaps(name).DeleteCollection(t.Context(), metav1.DeleteOptions{}, every),
		core.Events(name).DeleteCollection(t.Context(), metav1.DeleteOptions{}, every),
	)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := core.Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err == nil {
		ns.Spec.Finalizers = nil
		_, err = core.Namespaces().Finalize(t.Context(), ns, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// given makes the situation of a test in a namespace, past Bulkhead: it creates the objects, waits until their pods run
// and until Bulkhead has seen all.
func (s *suite) given(t *testing.T, namespace string, texts ...string) {
	t.Helper()
	var made []*unstructured.Unstructured
	for _, text := range texts {
		for _, o := range parse(t, text) {
			o.SetNamespace(namespace)
			s.create(t, o)
			made = append(made, o)
		}
	}
	for _, o := range made {
		s.awaitRunning(t, o)
	}
	s.settle(t)
}

// awaitRunning waits until the controller of o has made the pods and they run; other kinds are there at once.
func (s *suite) awaitRunning(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	client := s.resource(t, o)
	number := func(from *unstructured.Unstructured, fields ...string) int64 {
		n, _, _ := unstructured.NestedInt64(from.Object, fields...)
		return n
	}
	eventually(t, o.GetKind()+" "+o.GetName()+" to run", func(ctx context.Context) error {
		switch o.GetKind() {
		case "Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Pod":
		default:
			return nil
		}
		now, err := client.Get(ctx, o.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		switch want, ready := number(now, "spec", "replicas"), number(now, "status", "readyReplicas"); o.GetKind() {
		case "Pod":
			phase, _, _ := unstructured.NestedString(now.Object, "status", "phase")
			if scheduler, _, _ := unstructured.NestedString(now.Object, "spec", "schedulerName"); scheduler == noScheduler || phase == "Running" {
				return nil
			}
			return fmt.Errorf("it is %s", phase)
		case "DaemonSet":
			want, ready = number(now, "status", "desiredNumberScheduled"), number(now, "status", "numberReady")
			if want == 0 {
				return fmt.Errorf("no node was counted yet")
			}
			fallthrough
		default:
			if number(now, "status", "observedGeneration") < now.GetGeneration() || ready != want {
				return fmt.Errorf("%d of %d pods are ready", ready, want)
			}
			return nil
		}
	})
}

// firstPod gives the name of a running pod that has a label.
func (s *suite) firstPod(t *testing.T, namespace, selector string) string {
	t.Helper()
	pods, err := s.clients.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if cluster.Governed(&pods.Items[i]) {
			return pods.Items[i].Name
		}
	}
	t.Fatalf("no pod of %s has %s", namespace, selector)
	return ""
}

// noScheduler leaves a pod to be bound by hand.
const noScheduler = "none"

// deployment writes a Deployment whose pods have the labels, such as "app: api".
func deployment(name string, replicas int, labels string) string {
	app, _, _ := strings.Cut(labels, ",")
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: %d
  selector: {matchLabels: {%s}}
  template:
    metadata: {labels: {%s}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: "%s"}]}
`, name, replicas, app, labels, image)
}

// pod writes a Pod; more is more of its spec, such as "schedulerName: none,".
func pod(metadata, more string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {%s}
spec: {%s terminationGracePeriodSeconds: 0, containers: [{name: main, image: "%s"}]}
`, metadata, more, image)
}

// networkPolicy writes a NetworkPolicy with the spec in flow style, such as "podSelector: {}, policyTypes: [Egress]".
func networkPolicy(name, spec string) string {
	return fmt.Sprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s}\nspec: {%s}\n", name, spec)
}

// The two policies that most tests are about.
const (
	denyAll  = "podSelector: {}, policyTypes: [Ingress, Egress]"
	dnsRule  = "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}"
	allowDNS = "podSelector: {}, policyTypes: [Egress], egress: [" + dnsRule + "]"
)
