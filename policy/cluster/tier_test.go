package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// podNameKey is a label whose value Kubernetes sets for each pod.
const podNameKey = "statefulset.kubernetes.io/pod-name"

// adminPolicy makes a ClusterNetworkPolicy whose subject selects pods by the label key.
func adminPolicy(name string, priority int32, key string) *netpol.TierPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Tier, p.Spec.Priority = v1alpha2.AdminTier, priority
	p.Spec.Subject.Pods = &v1alpha2.NamespacedPod{
		PodSelector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpExists}}},
	}
	return mustCompileTier(netpol.CompileClusterNetworkPolicy(p))
}

func mustCompileTier(p *netpol.TierPolicy, err error) *netpol.TierPolicy {
	if err != nil {
		panic(err)
	}
	return p
}

// oldPolicy makes an AdminNetworkPolicy.
func oldPolicy(name string, priority int32) *netpol.TierPolicy {
	p := &v1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Priority, p.Spec.Subject.Namespaces = priority, &metav1.LabelSelector{}
	return mustCompileTier(netpol.CompileAdminNetworkPolicy(p))
}

// dumpTiers writes the policies of both tiers in the order in which they are asked.
func dumpTiers(s *Snapshot) string {
	if s.Tiers() == nil {
		return "none"
	}
	var out []string
	for tier, policies := range s.Tiers().Policies {
		for _, p := range policies {
			out = append(out, fmt.Sprintf("%s %s/%s %d", netpol.Tier(tier), p.Kind, p.Name, p.Priority))
		}
	}
	return strings.Join(out, ", ")
}

// statefulPods adds two pods that differ in nothing but their names to the namespace.
func statefulPods(b *Builder, namespace string) {
	for i := range 2 {
		yes, name := true, fmt.Sprintf("db-%d", i)
		b.SetPod(PodOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"app": "db", podNameKey: name},
			OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "db", Controller: &yes}},
		}}))
	}
}

func liveCounts(s *Snapshot) string {
	var out []string
	for n := range s.All() {
		out = append(out, fmt.Sprintf("%s %d", n.Name, len(s.Live(n))))
	}
	return strings.Join(out, ", ")
}

// TestTierPolicies goes through the events of cluster-wide policies. Policies that select on a per-pod label tell
// workloads apart in every namespace, and no longer once they are gone.
func TestTierPolicies(t *testing.T) {
	b := NewBuilder(Options{})
	statefulPods(b, "shop")
	statefulPods(b, "web")
	var given []*Snapshot
	var dumps []string
	for _, x := range []struct {
		name        string
		event       func()
		tiers, live string
	}{
		{"at first", func() {}, "none", "shop 1, web 1"},
		{"one set", func() { b.SetTierPolicy(adminPolicy("b", 5, "app")) }, "Admin ClusterNetworkPolicy/b 5", "shop 1, web 1"},
		{"one more, asked earlier", func() { b.SetTierPolicy(adminPolicy("c", 1, "app")) },
			"Admin ClusterNetworkPolicy/c 1, Admin ClusterNetworkPolicy/b 5", "shop 1, web 1"},
		{"one replaced, by a per-pod label", func() { b.SetTierPolicy(adminPolicy("c", 9, podNameKey)) },
			"Admin ClusterNetworkPolicy/b 5, Admin ClusterNetworkPolicy/c 9", "shop 2, web 2"},
		{"the same again", func() { b.SetTierPolicy(adminPolicy("c", 9, podNameKey)) },
			"Admin ClusterNetworkPolicy/b 5, Admin ClusterNetworkPolicy/c 9", "shop 2, web 2"},
		{"another kind of the same name", func() { b.SetTierPolicy(oldPolicy("c", 9)) },
			"Admin ClusterNetworkPolicy/b 5, Admin AdminNetworkPolicy/c 9, Admin ClusterNetworkPolicy/c 9", "shop 2, web 2"},
		{"one deleted", func() { b.DeleteTierPolicy("ClusterNetworkPolicy", "c") },
			"Admin ClusterNetworkPolicy/b 5, Admin AdminNetworkPolicy/c 9", "shop 1, web 1"},
		{"one deleted that does not exist", func() { b.DeleteTierPolicy("ClusterNetworkPolicy", "none") },
			"Admin ClusterNetworkPolicy/b 5, Admin AdminNetworkPolicy/c 9", "shop 1, web 1"},
		{"a complete list of one kind", func() {
			b.ReplaceTierPolicies("ClusterNetworkPolicy", []*netpol.TierPolicy{adminPolicy("d", 2, podNameKey), adminPolicy("e", 2, "app")})
		}, "Admin ClusterNetworkPolicy/d 2, Admin ClusterNetworkPolicy/e 2, Admin AdminNetworkPolicy/c 9", "shop 2, web 2"},
		{"an empty list of one kind", func() { b.ReplaceTierPolicies("ClusterNetworkPolicy", nil) }, "Admin AdminNetworkPolicy/c 9", "shop 1, web 1"},
		{"an empty list of the other kind", func() { b.ReplaceTierPolicies("AdminNetworkPolicy", nil) }, "none", "shop 1, web 1"},
	} {
		x.event()
		s := b.Snapshot()
		if got := dumpTiers(s); got != x.tiers {
			t.Errorf("%s: tiers %s, want %s", x.name, got, x.tiers)
		}
		if got := liveCounts(s); got != x.live {
			t.Errorf("%s: workloads %s, want %s", x.name, got, x.live)
		}
		given, dumps = append(given, s), append(dumps, dumpTiers(s)+dump(s))
	}
	for i, s := range given {
		if got := dumpTiers(s) + dump(s); got != dumps[i] {
			t.Errorf("snapshot %d changed after later events from\n%s\nto\n%s", i, dumps[i], got)
		}
	}
}

// TestTierPoliciesStayThroughChanges: the clusters after a change have the same cluster-wide policies.
func TestTierPoliciesStayThroughChanges(t *testing.T) {
	b := NewBuilder(Options{})
	statefulPods(b, "shop")
	b.SetTierPolicy(adminPolicy("a", 5, "app"))
	s := b.Snapshot()
	rng := rand.New(rand.NewPCG(1, 1))
	p := newModel(rng).randomPolicy()
	for name, changed := range map[string]*Snapshot{
		"WithPolicy": s.WithPolicy(p), "WithoutPolicy": s.WithPolicy(p).WithoutPolicy(p.Namespace, p.Name), "SplitFor": s.SplitFor(p),
		"WithNamespace": s.WithNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}),
		"WithContents":  s.WithContents("shop", NamespaceContents{}),
	} {
		if changed.Tiers() != s.Tiers() || changed.Tiers() == nil {
			t.Errorf("%s: tiers %s", name, dumpTiers(changed))
		}
	}
}

// TestIncrementalTiersEqualFromScratch: whatever happened on the way, tiers and workloads are what the policies that are
// left make them.
func TestIncrementalTiersEqualFromScratch(t *testing.T) {
	eachSequence(t, 60, func(t *testing.T, rng *rand.Rand) {
		m := newModel(rng)
		b := NewBuilder(Options{})
		tiers := map[string]*netpol.TierPolicy{}
		for range 30 {
			switch rng.IntN(4) {
			case 0:
				p := m.randomPod()
				m.pods[p.Namespace+"/"+p.Name] = p
				b.SetPod(p)
			case 1:
				p := adminPolicy(pick(rng, "a", "b", "c"), rng.Int32N(3), pick(rng, "app", podNameKey, "job-name"))
				tiers[p.Kind+"/"+p.Name] = p
				b.SetTierPolicy(p)
			case 2:
				name := pick(rng, "a", "b", "c")
				delete(tiers, "ClusterNetworkPolicy/"+name)
				b.DeleteTierPolicy("ClusterNetworkPolicy", name)
			case 3:
				p := m.randomPolicy()
				m.policies[p.Namespace+"/"+p.Name] = p
				b.SetPolicy(p)
			}
			if rng.IntN(3) > 0 {
				continue
			}
			s := b.Snapshot()
			fresh := NewBuilder(Options{})
			var steps []func()
			steps = addSteps(steps, m.pods, fresh.SetPod)
			steps = addSteps(steps, m.policies, fresh.SetPolicy)
			steps = addSteps(steps, tiers, fresh.SetTierPolicy)
			rng.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
			for _, step := range steps {
				step()
			}
			want := fresh.Snapshot()
			sameDump(t, "snapshot after events against one from scratch", dumpTiers(want)+"\n"+dump(want), dumpTiers(s)+"\n"+dump(s))
			if t.Failed() {
				return
			}
		}
	})
}

// TestTierPolicyEventsCostNothingElse: a policy that tells no workloads apart leaves the namespaces as they are.
func TestTierPolicyEventsCostNothingElse(t *testing.T) {
	b := NewBuilder(Options{})
	statefulPods(b, "shop")
	before := b.Snapshot()
	b.SetTierPolicy(adminPolicy("a", 5, "app"))
	after := b.Snapshot()
	if before == after || before.Namespace("shop") != after.Namespace("shop") {
		t.Error("the namespace was made anew")
	}
	if again := b.Snapshot(); again != after {
		t.Error("a snapshot without events is another one")
	}
	if !slices.Equal(before.names, after.names) {
		t.Errorf("namespaces %v, then %v", before.names, after.names)
	}
}
