package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

func newTestStore(t testing.TB) (*Store, *safeBuffer) {
	t.Helper()
	log := &safeBuffer{}
	return NewStore(cluster.Options{}, ResourceNames(), slog.New(slog.NewTextHandler(log, nil))), log
}

// run watches the client's cluster and publishes until the test ends.
func run(t testing.TB, s *Store, client kubernetes.Interface) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	s.Watch(ctx, client)
	t.Cleanup(func() { cancel(); running.Wait() })
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func sinkOf(s *Store, resource string) *sink {
	list := feeds()
	i := slices.IndexFunc(list, func(f feed) bool { return f.resource == resource })
	return &sink{s, list[i]}
}

func badPolicy(name string) *networkingv1.NetworkPolicy {
	return policyOf(name, func(np *networkingv1.NetworkPolicy) {
		np.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Perhaps"}}
	})
}

func TestWatchFillsTheStoreFromTheAPI(t *testing.T) {
	objects := []runtime.Object{
		namespaceOf("shop"), podOf("api-1", map[string]string{"app": "api"}), policyOf("allow-dns"),
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}},
	}
	for i, k := range templateKinds() {
		objects = append(objects, k.object(map[string]string{"kind": fmt.Sprint(i)}))
	}
	client := fake.NewClientset(objects...)
	s, _ := newTestStore(t)
	run(t, s, client)
	<-s.Ready()
	want := cluster.Stats{Namespaces: 1, Policies: 1, Pods: 1, Workloads: 1, Templates: 6, Services: 1}
	if got := s.Snapshot().Stats(); got != want {
		t.Fatalf("first snapshot %+v, want %+v", got, want)
	}

	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.CoreV1().Pods("shop").Create(ctx, podOf("web-1", map[string]string{"app": "web"}), metav1.CreateOptions{}))
	must(nil, client.NetworkingV1().NetworkPolicies("shop").Delete(ctx, "allow-dns", metav1.DeleteOptions{}))
	must(client.NetworkingV1().NetworkPolicies("shop").Create(ctx, badPolicy("bad"), metav1.CreateOptions{}))
	must(nil, client.AppsV1().Deployments("shop").Delete(ctx, "thing", metav1.DeleteOptions{}))
	ns := namespaceOf("shop")
	ns.Labels["team"] = "shop"
	must(client.CoreV1().Namespaces().Update(ctx, ns, metav1.UpdateOptions{}))
	eventually(t, "the snapshot shows the changes", func() bool {
		n := s.Snapshot().Namespace("shop")
		got := s.Snapshot().Stats()
		return got.Pods == 2 && got.Policies == 0 && got.Templates == 5 && n.Labels["team"] == "shop" && s.Invalid() == 1
	})
}

// TestNothingIsPublishedBeforeEverythingIsListed holds back one resource after the other: as long as any is missing
// there is no snapshot, however much else has come.
func TestNothingIsPublishedBeforeEverythingIsListed(t *testing.T) {
	for _, late := range ResourceNames() {
		s, _ := newTestStore(t)
		for _, f := range feeds() {
			k := &sink{s, f}
			if f.name() == late {
				continue
			}
			if err := k.Replace(nil, "1"); err != nil {
				t.Fatal(err)
			}
			s.publish()
			if s.Snapshot() != nil {
				t.Fatalf("a snapshot without %s", late)
			}
		}
		resource, _, _ := strings.Cut(late, ".")
		// A watch event is no list: one pod is not all pods.
		if err := sinkOf(s, resource).Add(exampleOf(resource)); err != nil {
			t.Fatal(err)
		}
		s.publish()
		if s.Snapshot() != nil {
			t.Fatalf("a snapshot after a single event of %s", late)
		}
		if err := s.ReadyCheck(); err == nil || !strings.Contains(err.Error(), late) || !slices.Equal(s.Missing(), []string{late}) {
			t.Errorf("readiness says %v, missing %v", err, s.Missing())
		}
		if err := sinkOf(s, resource).Replace([]any{exampleOf(resource)}, "2"); err != nil {
			t.Fatal(err)
		}
		if s.ReadyCheck() == nil {
			t.Error("ready before the first snapshot")
		}
		s.publish()
		if s.Snapshot() == nil || s.ReadyCheck() != nil {
			t.Errorf("no snapshot although %s came last", late)
		}
		<-s.Ready()
	}
}

func exampleOf(resource string) runtime.Object {
	switch resource {
	case "namespaces":
		return namespaceOf("shop")
	case "pods":
		return podOf("api-1", nil)
	case "services":
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}}
	case "networkpolicies":
		return policyOf("allow-dns")
	}
	kinds := templateKinds()
	i := slices.IndexFunc(kinds, func(k templateKind) bool { return k.resource == resource })
	return kinds[i].object(map[string]string{"app": "api"})
}

func TestReplaceDropsWhatIsGone(t *testing.T) {
	s, _ := newTestStore(t)
	for _, f := range feeds() {
		k := &sink{s, f}
		if err := k.Replace([]any{exampleOf(f.resource)}, "1"); err != nil {
			t.Fatal(err)
		}
	}
	s.publish()
	want := cluster.Stats{Namespaces: 1, Policies: 1, Pods: 1, Workloads: 1, Templates: 6, Services: 1}
	if got := s.Snapshot().Stats(); got != want {
		t.Fatalf("filled: %+v", got)
	}
	for _, f := range feeds() {
		k := &sink{s, f}
		if err := k.Replace(nil, "2"); err != nil {
			t.Fatal(err)
		}
	}
	s.publish()
	if got := s.Snapshot().Stats(); got != (cluster.Stats{}) {
		t.Errorf("emptied: %+v", got)
	}
}

func TestDeleteByObjectAndByKey(t *testing.T) {
	for _, f := range feeds() {
		for _, byKey := range []bool{false, true} {
			s, _ := newTestStore(t)
			k := &sink{s, f}
			obj := exampleOf(f.resource)
			if err := k.Add(obj); err != nil {
				t.Fatal(err)
			}
			if s.builder.Snapshot().Stats() == (cluster.Stats{}) {
				t.Fatalf("%s: nothing was added", f.name())
			}
			var gone any = obj
			if byKey {
				key, err := cache.MetaNamespaceKeyFunc(obj)
				if err != nil {
					t.Fatal(err)
				}
				gone = cache.DeletedFinalStateUnknown{Key: key}
			}
			if err := k.Delete(gone); err != nil {
				t.Fatal(err)
			}
			if got := s.builder.Snapshot().Stats(); got != (cluster.Stats{}) {
				t.Errorf("%s, by key %v: %+v is left", f.name(), byKey, got)
			}
		}
	}
	s, _ := newTestStore(t)
	if err := sinkOf(s, "pods").Delete("what is this"); err == nil {
		t.Error("no error for something that is no object")
	}
}

func TestTemplateThatBecomesControlledGoes(t *testing.T) {
	s, _ := newTestStore(t)
	k := sinkOf(s, "replicasets")
	replicaSet := templateKinds()[3]
	for _, step := range []struct {
		obj  runtime.Object
		want int
	}{{replicaSet.object(nil), 1}, {replicaSet.object(nil, controlledBy("apps/v1", "Deployment")), 0}} {
		if err := k.Update(step.obj); err != nil {
			t.Fatal(err)
		}
		if got := s.builder.Snapshot().Stats().Templates; got != step.want {
			t.Errorf("%d templates, want %d", got, step.want)
		}
	}
}

func TestInvalidPoliciesAreCounted(t *testing.T) {
	s, log := newTestStore(t)
	k := sinkOf(s, "networkpolicies")
	check := func(step string, err error, invalid, policies int) {
		t.Helper()
		if got := s.builder.Snapshot().Stats().Policies; err != nil || s.Invalid() != invalid || got != policies {
			t.Errorf("%s: %v, %d invalid and %d policies, want %d and %d", step, err, s.Invalid(), got, invalid, policies)
		}
	}
	check("good", k.Add(policyOf("a")), 0, 1)
	check("goes bad", k.Update(badPolicy("a")), 1, 0)
	check("still bad", k.Update(badPolicy("a")), 1, 0)
	if n := strings.Count(log.String(), "does not parse"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	check("good again", k.Update(policyOf("a")), 0, 1)
	check("bad", k.Update(badPolicy("a")), 1, 0)
	check("deleted", k.Delete(badPolicy("a")), 0, 0)
	check("listed", k.Replace([]any{badPolicy("a"), badPolicy("b"), policyOf("c")}, "1"), 2, 1)
	check("one mended and one gone while nobody watched", k.Replace([]any{policyOf("a"), policyOf("c")}, "2"), 0, 2)
}

// TestStreamedListsFillTheStore drives the way in which API servers send lists since 1.32: as a watch that ends with a
// bookmark. The fake clientset does not offer it, but its watches can be made to.
func TestStreamedListsFillTheStore(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, fmt.Errorf("%s was listed", action.GetResource().Resource)
	})
	var mu sync.Mutex
	watches := map[string]*watch.FakeWatcher{}
	client.PrependWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		w := watch.NewFakeWithOptions(watch.FakeOptions{ChannelSize: 10})
		resource := action.GetResource().Resource
		w.Add(exampleOf(resource))
		if resource == "networkpolicies" {
			w.Add(badPolicy("bad"))
		}
		bookmark := exampleOf(resource).DeepCopyObject()
		bookmark.(metav1.Object).SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		bookmark.(metav1.Object).SetResourceVersion("5")
		w.Action(watch.Bookmark, bookmark)
		mu.Lock()
		defer mu.Unlock()
		watches[resource] = w
		return true, w, nil
	})
	s, _ := newTestStore(t)
	run(t, s, struct{ kubernetes.Interface }{client}) // hides that the fake cannot stream
	<-s.Ready()
	want := cluster.Stats{Namespaces: 1, Policies: 1, Pods: 1, Workloads: 1, Templates: 6, Services: 1}
	if got := s.Snapshot().Stats(); got != want || s.Invalid() != 1 {
		t.Fatalf("%+v, %d invalid", got, s.Invalid())
	}
	mu.Lock()
	defer mu.Unlock()
	watches["pods"].Delete(exampleOf("pods"))
	eventually(t, "the pod is gone", func() bool { return s.Snapshot().Stats().Pods == 0 })
}

func TestBrokenWatchKeepsTheLastSnapshot(t *testing.T) {
	client := fake.NewClientset(namespaceOf("shop"), policyOf("allow-dns"))
	var mu sync.Mutex
	var watches []*watch.RaceFreeFakeWatcher
	tried := make(chan struct{}, 100)
	down := false
	client.PrependReactor("list", "networkpolicies", func(clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if !down {
			return false, nil, nil
		}
		select {
		case tried <- struct{}{}:
		default:
		}
		return true, nil, errors.New("the API server is away")
	})
	client.PrependWatchReactor("networkpolicies", func(clienttesting.Action) (bool, watch.Interface, error) {
		mu.Lock()
		defer mu.Unlock()
		if down {
			return true, nil, errors.New("the API server is away")
		}
		w := watch.NewRaceFreeFake()
		watches = append(watches, w)
		return true, w, nil
	})
	s, _ := newTestStore(t)
	run(t, s, client)
	<-s.Ready()
	eventually(t, "the watch is there", func() bool { mu.Lock(); defer mu.Unlock(); return len(watches) == 1 })
	mu.Lock()
	down = true
	watches[0].Error(&metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired})
	mu.Unlock()
	<-tried
	if s.Snapshot().Policy("shop", "allow-dns") == nil || s.ReadyCheck() != nil {
		t.Error("the last snapshot is gone with the watch")
	}
}

func TestAgeAndBookmarks(t *testing.T) {
	s, _ := newTestStore(t)
	if got := s.Age(time.Now()); len(got) != 0 {
		t.Errorf("age %v before anything came", got)
	}
	k := sinkOf(s, "pods")
	if err := k.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	listed := s.contact["pods"]
	if got := s.Age(listed.Add(time.Minute)); len(got) != 1 || got["pods"] != time.Minute {
		t.Errorf("age %v a minute later", got)
	}
	for s.contact["pods"].Equal(listed) {
		if err := k.Bookmark("2"); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Age(listed.Add(time.Minute))["pods"]; got >= time.Minute {
		t.Errorf("age %v after a bookmark", got)
	}
	select {
	case <-s.wake:
		s.publish()
	default:
	}
	if s.Snapshot() != nil {
		t.Error("a bookmark published a snapshot")
	}
}

func TestOptionsReachTheSnapshot(t *testing.T) {
	s, _ := newTestStore(t)
	for _, f := range feeds() {
		if err := (&sink{s, f}).Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
	}
	s.publish()
	s.SetOptions(cluster.Options{Resolver: cluster.ResolverOverride{Namespace: "dns", Service: "bind"}})
	if err := sinkOf(s, "services").Add(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "dns", Name: "bind"}, Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.9"},
	}); err != nil {
		t.Fatal(err)
	}
	s.publish()
	if got := s.Snapshot().Resolver().Name(); got != "dns/bind" {
		t.Errorf("resolver %s", got)
	}
}

// TestReadersAndWritersTogether is for the race detector.
func TestReadersAndWritersTogether(t *testing.T) {
	s, _ := newTestStore(t)
	for _, f := range feeds() {
		if err := (&sink{s, f}).Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { s.Run(ctx) })
	<-s.Ready()
	var writers sync.WaitGroup
	for _, f := range feeds() {
		writers.Go(func() {
			k := &sink{s, f}
			for i := range 200 {
				if i%10 == 9 {
					_ = k.Replace([]any{exampleOf(f.resource)}, "2")
				} else if i%2 == 0 {
					_ = k.Add(exampleOf(f.resource))
				} else {
					_ = k.Delete(exampleOf(f.resource))
				}
			}
		})
	}
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				snapshot := s.Snapshot()
				for n := range snapshot.All() {
					snapshot.Candidates(n)
				}
				snapshot.Resolver()
				s.Age(time.Now())
				s.Invalid()
				s.Missing()
			}
		})
	}
	writers.Wait()
	eventually(t, "the last snapshot is published", func() bool { return s.Snapshot().Stats().Templates == 6 })
	stop()
	all.Wait()
}

func TestSlimPodKeepsAllThatIsRead(t *testing.T) {
	p := podOf("api-1", map[string]string{"app": "api", "pod-template-hash": "5d8f"}, func(p *corev1.Pod) {
		controlledBy("apps/v1", "ReplicaSet")(&p.ObjectMeta)
		p.OwnerReferences[0].Name = "api-5d8f"
		p.Spec.HostNetwork, p.Spec.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}
		p.Status.PodIP, p.Status.PodIPs = "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}
	})
	for name, p := range map[string]*corev1.Pod{"all": p, "hand-written status": podOf("b", nil, func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" })} {
		slim := slimPod(p)
		if *cluster.PodOf(&slim) != *cluster.PodOf(p) {
			t.Errorf("%s: %+v\nbecomes %+v", name, cluster.PodOf(p), cluster.PodOf(&slim))
		}
		if slim.ResourceVersion != p.ResourceVersion || len(slim.Spec.Containers) > 0 && slim.Spec.Containers[0].Image != "" {
			t.Errorf("%s: kept %+v", name, slim)
		}
	}
}
