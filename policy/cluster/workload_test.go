package cluster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	byPodName  = "statefulset.kubernetes.io/pod-name"
	byJobName  = "batch.kubernetes.io/job-name"
	byRevision = "controller-revision-hash"
)

// pod makes a running pod whose controller is kind/owner; an empty kind means none.
func pod(namespace, name, kind, owner string, labels map[string]string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	if kind != "" {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: &yes}}
	}
	return p
}

// selecting makes a policy on a namespace's own pods, or with foreign on those of all namespaces as peers.
func selecting(namespace string, foreign bool, pods map[string]string) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "by-label"}}
	if !foreign {
		np.Spec.PodSelector.MatchLabels = pods
		return np
	}
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: pods},
	}}}}
	return np
}

// live lists the workloads of a namespace: "StatefulSet/db app=db 3".
func live(s *Snapshot, namespace string) []string {
	var out []string
	for _, w := range s.Live(s.Namespace(namespace)) {
		out = append(out, fmt.Sprintf("%s/%s %s %d", w.Kind, w.Name, w.Labels, w.Pods))
	}
	return out
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestPerPodLabels: pods that differ in labels which Kubernetes sets per pod or rollout are one workload, until a
// policy selects on such a label; then they are told apart with exact counts, and one again when it goes.
func TestPerPodLabels(t *testing.T) {
	pods := []*corev1.Pod{}
	for i := range 3 {
		name := fmt.Sprintf("db-%d", i)
		pods = append(pods, pod("shop", name, "StatefulSet", "db", map[string]string{"app": "db", byPodName: name}))
	}
	for i := range 4 {
		job := fmt.Sprintf("import-%d", i%2)
		pods = append(pods, pod("shop", fmt.Sprintf("%s-%d", job, i), "Job", job, map[string]string{"app": "import", byJobName: job}))
	}
	for i := range 5 {
		pods = append(pods, pod("shop", fmt.Sprintf("agent-%d", i), "DaemonSet", "agent", map[string]string{"app": "agent", byRevision: fmt.Sprintf("r%d", i/4)}))
	}
	merged := []string{"DaemonSet/agent app=agent 5", "StatefulSet/db app=db 3", "Job/import-0 app=import 4"}
	splitDB := []string{"DaemonSet/agent app=agent 5", "StatefulSet/db app=db," + byPodName + "=db-0 1",
		"StatefulSet/db app=db," + byPodName + "=db-1 1", "StatefulSet/db app=db," + byPodName + "=db-2 1", "Job/import-0 app=import 4"}
	splitJobs := []string{"DaemonSet/agent app=agent 5", "StatefulSet/db app=db 3",
		"Job/import-0 app=import," + byJobName + "=import-0 2", "Job/import-1 app=import," + byJobName + "=import-1 2"}
	splitAgents := []string{"DaemonSet/agent app=agent," + byRevision + "=r0 4", "DaemonSet/agent app=agent," + byRevision + "=r1 1",
		"StatefulSet/db app=db 3", "Job/import-0 app=import 4"}
	for _, c := range []struct {
		name   string
		policy *networkingv1.NetworkPolicy
		want   []string
	}{
		{"own namespace by pod name", selecting("shop", false, map[string]string{byPodName: "db-0"}), splitDB},
		{"own namespace by job", selecting("shop", false, map[string]string{byJobName: "import-0"}), splitJobs},
		{"own namespace by revision", selecting("shop", false, map[string]string{byRevision: "r0"}), splitAgents},
		{"other namespace through namespaceSelector", selecting("web", true, map[string]string{byPodName: "db-0"}), splitDB},
		{"other namespace's own pods", selecting("web", false, map[string]string{byPodName: "db-0"}), merged},
		{"ordinary label", selecting("shop", false, map[string]string{"app": "db"}), merged},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder(Options{})
			for _, p := range pods {
				b.SetPod(PodOf(p))
			}
			before := b.Snapshot()
			same(t, "before", merged, live(before, "shop"))
			p := mustCompile(c.policy)
			same(t, "WithPolicy", c.want, live(before.WithPolicy(p), "shop"))
			same(t, "SplitFor", c.want, live(before.SplitFor(p), "shop"))
			b.SetPolicy(p)
			during := b.Snapshot()
			same(t, "stored", c.want, live(during, "shop"))
			b.DeletePolicy(p.Namespace, p.Name)
			same(t, "deleted", merged, live(b.Snapshot(), "shop"))
			same(t, "the old snapshots", append(merged, c.want...), append(live(before, "shop"), live(during, "shop")...))
		})
	}
}

func TestPodOwners(t *testing.T) {
	hash := map[string]string{"app": "api", "pod-template-hash": "5d8f"}
	app := map[string]string{"app": "api"}
	generated := pod("shop", "", "", "", app)
	generated.GenerateName = "api-"
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"Deployment through its ReplicaSet", pod("shop", "api-5d8f-x", "ReplicaSet", "api-5d8f", hash), "Deployment/api"},
		{"ReplicaSet of its own", pod("shop", "api-x", "ReplicaSet", "api", app), "ReplicaSet/api"},
		{"ReplicaSet whose name does not end in the hash", pod("shop", "api-x", "ReplicaSet", "api", hash), "ReplicaSet/api"},
		{"StatefulSet", pod("shop", "db-0", "StatefulSet", "db", app), "StatefulSet/db"},
		{"bare pod", pod("shop", "debug", "", "", app), "Pod/debug"},
		{"bare pod that has no name yet", generated, "Pod/api-"},
	} {
		w := WorkloadOf(c.pod)
		if got := w.Kind + "/" + w.Name; got != c.want {
			t.Errorf("%s: owner %s, want %s", c.name, got, c.want)
		}
		b := NewBuilder(Options{})
		b.SetPod(PodOf(c.pod))
		s := b.Snapshot()
		if w := s.Live(s.Namespace("shop"))[0]; w.Kind+"/"+w.Name != c.want {
			t.Errorf("%s: workload of the snapshot is %s/%s, want %s", c.name, w.Kind, w.Name, c.want)
		}
	}
}

// TestSharedWorkload: several owners whose pods no policy can tell apart are one workload, named after the first.
func TestSharedWorkload(t *testing.T) {
	b := NewBuilder(Options{})
	app := map[string]string{"app": "api"}
	b.SetPod(PodOf(pod("shop", "z-0", "StatefulSet", "z", app)))
	b.SetPod(PodOf(pod("shop", "b-0", "StatefulSet", "b", app)))
	b.SetPod(PodOf(pod("shop", "c-0", "StatefulSet", "c", app)))
	first := b.Snapshot()
	same(t, "three owners", []string{"StatefulSet/b app=api 3"}, live(first, "shop"))
	b.DeletePod("shop", "b-0")
	same(t, "without the first", []string{"StatefulSet/c app=api 2"}, live(b.Snapshot(), "shop"))
	same(t, "without the first, as With", []string{"StatefulSet/c app=api 2"},
		live(first.WithoutPod(PodOf(pod("shop", "b-0", "StatefulSet", "b", app))), "shop"))
	same(t, "a pod that is not there", live(first, "shop"),
		live(first.WithoutPod(PodOf(pod("shop", "x-0", "StatefulSet", "x", app))), "shop"))
}

// TestPodsThatDoNotCount: finished and terminating pods leave; a pod that changes its labels moves.
func TestPodsThatDoNotCount(t *testing.T) {
	edit := func(change func(p *corev1.Pod)) *Pod {
		p := pod("shop", "api-0", "StatefulSet", "api", map[string]string{"app": "api"})
		change(p)
		return PodOf(p)
	}
	now := metav1.Unix(0, 0)
	for _, c := range []struct {
		name string
		pod  *Pod
		want []string
	}{
		{"running", edit(func(*corev1.Pod) {}), []string{"StatefulSet/api app=api 1"}},
		{"pending", edit(func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }), []string{"StatefulSet/api app=api 1"}},
		{"succeeded", edit(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), nil},
		{"failed", edit(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), nil},
		{"terminating", edit(func(p *corev1.Pod) { p.DeletionTimestamp = &now }), nil},
		{"other labels", edit(func(p *corev1.Pod) { p.Labels = map[string]string{"app": "canary"} }), []string{"StatefulSet/api app=canary 1"}},
		{"host network", edit(func(p *corev1.Pod) { p.Spec.HostNetwork = true }), []string{"StatefulSet/api app=api 1"}},
	} {
		b := NewBuilder(Options{})
		b.SetPod(edit(func(*corev1.Pod) {}))
		b.Snapshot()
		b.SetPod(c.pod)
		s := b.Snapshot()
		same(t, c.name, c.want, live(s, "shop"))
		same(t, c.name+": pods counted", len(c.want), s.Stats().Pods)
		b.DeletePod("shop", "api-0")
		same(t, c.name+": deleted", Stats{}, b.Snapshot().Stats())
	}
}

// TestNamespaceEvents: a namespace's own object may come after what is in it, and go before it.
func TestNamespaceEvents(t *testing.T) {
	b := NewBuilder(Options{})
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{corev1.LabelMetadataName: "shop", "team": "red"}}}
	red := namespaceSelectors()[1]
	selected := func() []string {
		var out []string
		for n := range b.Snapshot().SelectNamespaces(red) {
			out = append(out, n.Name)
		}
		return out
	}
	labels := func() map[string]string { return b.Snapshot().NamespaceLabels("shop") }
	nameOnly := map[string]string{corev1.LabelMetadataName: "shop"}

	b.SetPod(PodOf(pod("shop", "a", "", "", nil)))
	same(t, "labels before the object", nameOnly, labels())
	same(t, "selected before the object", nil, selected())
	b.SetNamespace(ns)
	same(t, "labels with the object", ns.Labels, labels())
	same(t, "selected with the object", []string{"shop"}, selected())
	relabelled := ns.DeepCopy()
	relabelled.Labels["team"] = "blue"
	b.SetNamespace(relabelled)
	same(t, "selected after another label", nil, selected())
	b.SetNamespace(ns)
	b.DeleteNamespace("shop")
	same(t, "labels after the object", nameOnly, labels())
	same(t, "selected after the object", nil, selected())
	b.DeletePod("shop", "a")
	same(t, "nothing left", Stats{}, b.Snapshot().Stats())
	same(t, "unknown namespace", (*Namespace)(nil), b.Snapshot().Namespace("shop"))
}

// TestDeleteUnknown: deletions of what was never there change nothing.
func TestDeleteUnknown(t *testing.T) {
	b := NewBuilder(Options{})
	b.SetPod(PodOf(pod("shop", "a", "", "", nil)))
	want := dump(b.Snapshot())
	for _, namespace := range []string{"shop", "nowhere"} {
		b.DeletePod(namespace, "x")
		b.DeletePolicy(namespace, "x")
		b.DeleteService(namespace, "x")
		b.DeleteTemplate(namespace, "Deployment", "x")
	}
	b.DeleteNamespace("nowhere")
	sameDump(t, "after deletions of unknown things", want, dump(b.Snapshot()))
}

// TestControlledTemplates: a template is a candidate of its own unless another candidate's object made it.
func TestControlledTemplates(t *testing.T) {
	yes := true
	by := func(kind string) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Namespace: "shop", Name: "made"}
		if kind != "" {
			m.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "maker", Controller: &yes}}
		}
		return m
	}
	for _, c := range []struct {
		name string
		obj  any
		want bool
	}{
		{"ReplicaSet of a Deployment", &appsv1.ReplicaSet{ObjectMeta: by("Deployment")}, true},
		{"ReplicaSet of its own", &appsv1.ReplicaSet{ObjectMeta: by("")}, false},
		{"ReplicaSet of an operator's object, which has no template here", &appsv1.ReplicaSet{ObjectMeta: by("Rollout")}, false},
		{"Job of a CronJob", &batchv1.Job{ObjectMeta: by("CronJob")}, true},
		{"Job of its own", &batchv1.Job{ObjectMeta: by("")}, false},
		{"Deployment of an operator's object", &appsv1.Deployment{ObjectMeta: by("Database")}, false},
	} {
		tmpl, ok := TemplateOf(c.obj)
		if !ok || tmpl.Controlled != c.want {
			t.Errorf("%s: controlled is %v, want %v", c.name, tmpl.Controlled, c.want)
		}
		b := NewBuilder(Options{})
		b.SetTemplate(tmpl)
		s := b.Snapshot()
		if got := len(s.Candidates(s.Namespace("shop"))) == 0; got != c.want {
			t.Errorf("%s: no candidate is %v, want %v", c.name, got, c.want)
		}
	}
	if _, ok := TemplateOf(&corev1.Pod{}); ok {
		t.Error("a Pod has no template")
	}
}

func TestWorkloadLabel(t *testing.T) {
	for want, labels := range map[string]map[string]string{
		"app=api":  {"app": "api", "a": "first", "tier": "back"},
		"tier=db":  {"tier": "db", "zone": "1"},
		"a=1":      {"b": "2", "a": "1"},
		"import-0": {byJobName: "import-0"},
	} {
		w := &Workload{Name: "import-0", Labels: labels}
		if got := w.Label(); got != want {
			t.Errorf("label of %v is %s, want %s", labels, got, want)
		}
	}
}

// TestReplaceIsTheTruth: after a complete list the snapshot is what one built from that list is.
func TestReplaceIsTheTruth(t *testing.T) {
	eachSequence(t, 30, func(t *testing.T, rng *rand.Rand) {
		m, other := newModel(rng), newModel(rng)
		b := NewBuilder(Options{})
		for range 60 {
			m.event(b)
		}
		for range 60 {
			other.event(NewBuilder(Options{}))
		}
		b.SetOptions(other.options)
		b.ReplaceNamespaces(slices.Collect(maps.Values(other.namespaces)))
		b.ReplacePods(slices.Collect(maps.Values(other.pods)))
		b.ReplaceServices(slices.Collect(maps.Values(other.services)))
		b.ReplacePolicies(slices.Collect(maps.Values(other.policies)))
		for _, kind := range TemplateKinds {
			var templates []*Template
			for _, x := range other.templates {
				if x.Workload.Kind == kind {
					templates = append(templates, x)
				}
			}
			b.ReplaceTemplates(kind, templates)
		}
		sameDump(t, "replaced against from scratch", dump(other.build(rng)), dump(b.Snapshot()))
	})
}
