package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dumpCoverage writes a coverage with the names of what its indexes mean.
func dumpCoverage(c *Coverage) string {
	var b strings.Builder
	for _, w := range c.Workloads {
		var names []string
		for _, i := range w.Policies {
			names = append(names, c.Policies[i].Name)
		}
		fmt.Fprintf(&b, "%s/%s %v isolated %v\n", w.Kind, w.Name, names, w.Isolated)
	}
	for _, d := range netpol.Directions {
		for _, ref := range c.Foreign[d] {
			p := c.Policies[ref.Policy]
			i := slices.IndexFunc(p.Rules[d], func(r netpol.Rule) bool { return len(r.Peers) == len(ref.Rule.Peers) })
			fmt.Fprintf(&b, "%s foreign %s rule with %d peers, in its place %v\n", d, p.Name, len(ref.Rule.Peers), &p.Rules[d][i] == ref.Rule)
		}
		for _, i := range c.Open[d] {
			fmt.Fprintf(&b, "%s open %s\n", d, c.Workloads[i].Name)
		}
	}
	return b.String()
}

func TestCoverage(t *testing.T) {
	b := NewBuilder(Options{})
	for _, p := range []struct {
		name string
		host bool
	}{{"api", false}, {"web", false}, {"agent", true}} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: p.name, Labels: map[string]string{"app": p.name}}}
		pod.Spec.HostNetwork = p.host
		b.SetPod(PodOf(pod))
	}
	for doc := range strings.SplitSeq(`
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {}}]
  - from: [{podSelector: {}}, {namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]
  egress: [{}]
---
metadata: {namespace: shop, name: all}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - ports: [{port: 53}]
  - to: [{ipBlock: {cidr: 10.0.0.0/8}}]
---
metadata: {namespace: shop, name: none}
spec: {podSelector: {matchLabels: {app: none}}}
---
metadata: {namespace: web, name: other}
spec: {podSelector: {}}`, "\n---\n") {
		np := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(doc), np); err != nil {
			t.Fatal(err)
		}
		b.SetPolicy(mustCompile(np))
	}
	s := b.Snapshot()
	// The egress rule of the policy api has no effect, so it counts for nothing.
	want := `Pod/agent [] isolated [false false]
Pod/api [all api] isolated [true true]
Pod/web [all] isolated [false true]
Ingress foreign api rule with 3 peers, in its place true
Ingress open agent
Ingress open web
Egress foreign all rule with 0 peers, in its place true
Egress open agent
`
	if got := dumpCoverage(s.Coverage(s.Namespace("shop"))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCoverageAgreesWithOracle: in random clusters, before and after changes, the coverage is what each policy says about
// each workload.
func TestCoverageAgreesWithOracle(t *testing.T) {
	eachSequence(t, 150, func(t *testing.T, rng *rand.Rand) {
		m := randomCluster(rng)
		s := m.build(rng)
		for range 3 {
			for n := range s.All() {
				if problem := checkCoverage(s, n); problem != "" {
					t.Errorf("%s: %s", n.Name, problem)
				}
			}
			_, s = m.with(s)
			s = s.SplitFor(m.randomPolicy())
		}
	})
}

func checkCoverage(s *Snapshot, n *Namespace) string {
	c, live := s.Coverage(n), s.Live(n)
	if len(c.Workloads) != len(live) || !slices.Equal(c.Policies, s.Policies(n.Name)) {
		return fmt.Sprintf("%d workloads and %d policies, want %d and %d", len(c.Workloads), len(c.Policies), len(live), len(s.Policies(n.Name)))
	}
	for i := range c.Workloads {
		w := &c.Workloads[i]
		if !w.Same(live[i]) || w.Pods != live[i].Pods {
			return fmt.Sprintf("workload %d is %s, want %s", i, dumpWorkload(w.Workload), dumpWorkload(live[i]))
		}
		e := s.Endpoint(live[i])
		for j, p := range c.Policies {
			if got := slices.Contains(w.Policies, int32(j)); got != p.Selects(e) {
				return fmt.Sprintf("%s is selected by %s: %v", w.Name, p.Name, got)
			}
		}
		for _, d := range netpol.Directions {
			isolated := netpol.Isolated(d, e, c.Policies)
			if w.Isolated[d] != isolated || slices.Contains(c.Open[d], int32(i)) == isolated {
				return fmt.Sprintf("%s in %s: isolated %v, open %v, want isolated %v", w.Name, d, w.Isolated[d], c.Open[d], isolated)
			}
		}
	}
	for _, d := range netpol.Directions {
		var want []RuleRef
		for i, p := range c.Policies {
			for j := range p.Rules[d] {
				if p.Isolates[d] && p.Rules[d][j].Foreign() {
					want = append(want, RuleRef{int32(i), &p.Rules[d][j]})
				}
			}
		}
		if !slices.Equal(c.Foreign[d], want) {
			return fmt.Sprintf("foreign rules in %s: %v, want %v", d, c.Foreign[d], want)
		}
	}
	return ""
}

// TestCoverageIsShared: snapshots share the coverage of namespaces that are the same to them, and only those.
func TestCoverageIsShared(t *testing.T) {
	b := NewBuilder(Options{})
	statefulPods(b, "shop")
	statefulPods(b, "web")
	first := b.Snapshot()
	shop, web := first.Coverage(first.Namespace("shop")), first.Coverage(first.Namespace("web"))

	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "p"}}
	np.Spec.PodSelector.MatchLabels = map[string]string{"app": "db"}
	second := first.WithPolicy(mustCompile(np))
	if second.Coverage(second.Namespace("web")) != web {
		t.Error("a policy in shop made the coverage of web anew")
	}
	if got := second.Coverage(second.Namespace("shop")); got == shop || !got.Workloads[0].Isolated[netpol.Ingress] {
		t.Error("the coverage of shop is still the one without the policy")
	}

	np.Spec.PodSelector.MatchLabels = map[string]string{podNameKey: "db-0"}
	third := first.WithPolicy(mustCompile(np))
	if got := third.Coverage(third.Namespace("shop")); len(got.Workloads) != 2 {
		t.Errorf("%d workloads in shop, want them told apart by the policy", len(got.Workloads))
	}

	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
		{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{podNameKey: "db-0"}}},
	}}}
	fourth := first.WithPolicy(mustCompile(np))
	if got := fourth.Coverage(fourth.Namespace("web")); len(got.Workloads) != 2 {
		t.Errorf("%d workloads in web, want them told apart by the rule of another namespace", len(got.Workloads))
	}
	if got := first.Coverage(first.Namespace("web")); got != web || len(got.Workloads) != 1 {
		t.Error("the first snapshot's coverage changed with what was made of it")
	}
}

// TestCoverageForConcurrentReaders: the first readers get the same coverage.
func TestCoverageForConcurrentReaders(t *testing.T) {
	b := NewBuilder(Options{})
	statefulPods(b, "shop")
	s := b.Snapshot()
	got := make([]*Coverage, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = s.Coverage(s.Namespace("shop")) })
	}
	wg.Wait()
	for _, c := range got {
		if c != got[0] || c == nil {
			t.Fatalf("readers got %v", got)
		}
	}
}

// TestOwners: every pod of a workload is counted for what made it.
func TestOwners(t *testing.T) {
	b := NewBuilder(Options{})
	statefulPods(b, "shop")
	b.SetPod(PodOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bare", Labels: map[string]string{"app": "db"}}}))
	s := b.Snapshot()
	live := s.Live(s.Namespace("shop"))
	if len(live) != 1 || live[0].Kind != "Pod" || live[0].Name != "bare" || live[0].Pods != 3 {
		t.Fatalf("workloads %v, want one of 3 pods, named after the first of its owners", live)
	}
	owners := live[0].Owners()
	slices.SortFunc(owners, func(a, b Owner) int { return strings.Compare(a.Name, b.Name) })
	if want := []Owner{{"Pod", "bare", 1}, {"StatefulSet", "db", 2}}; !slices.Equal(owners, want) {
		t.Errorf("owners %v, want %v", owners, want)
	}
	template := &Workload{Namespace: "shop", Kind: "Deployment", Name: "idle", Template: true}
	if want := []Owner{{"Deployment", "idle", 0}}; !slices.Equal(template.Owners(), want) {
		t.Errorf("owners of a template %v, want %v", template.Owners(), want)
	}
}

func TestSame(t *testing.T) {
	base := Workload{Namespace: "shop", Kind: "Deployment", Name: "api", Labels: map[string]string{"app": "api"}, Pods: 2}
	for name, x := range map[string]struct {
		edit func(w *Workload)
		want bool
	}{
		"nothing":      {func(*Workload) {}, true},
		"pods":         {func(w *Workload) { w.Pods = 3 }, true},
		"namespace":    {func(w *Workload) { w.Namespace = "web" }, false},
		"kind":         {func(w *Workload) { w.Kind = "StatefulSet" }, false},
		"name":         {func(w *Workload) { w.Name = "web" }, false},
		"labels":       {func(w *Workload) { w.Labels = map[string]string{"app": "web"} }, false},
		"ports":        {func(w *Workload) { w.Ports = []netpol.ContainerPort{{Name: "http", Protocol: "TCP", Number: 80}} }, false},
		"host network": {func(w *Workload) { w.HostNetwork = true }, false},
		"template":     {func(w *Workload) { w.Template = true }, false},
	} {
		other := base
		x.edit(&other)
		if base.Same(&other) != x.want || other.Same(&base) != x.want {
			t.Errorf("%s: the same %v, want %v", name, base.Same(&other), x.want)
		}
	}
}
