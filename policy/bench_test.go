package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// bench judges changes of a large cluster with all guardrails.
type bench struct {
	cfg        *config.Config
	guardrails []policy.Guardrail
	scaled     *policytest.Scaled
	builder    *cluster.Builder
	snapshot   *cluster.Snapshot
}

// newBench makes a cluster of 2,000 namespaces, 150,000 pods and 10,000 policies.
func newBench(b *testing.B) *bench {
	b.Helper()
	return newBenchOf(b, policytest.Scale(2000, 150_000, 10_000, 1))
}

func newBenchOf(b *testing.B, scaled *policytest.Scaled) *bench {
	b.Helper()
	x := &bench{guardrails: guardrails.All(), scaled: scaled}
	var err error
	file := fmt.Sprintf("apiVersion: %s\nkind: %s\nmaximumAction: Deny\n", config.APIVersion, config.Kind)
	if x.cfg, err = config.Parse([]byte(file), policy.Specs(x.guardrails)); err != nil {
		b.Fatal(err)
	}
	x.builder = cluster.NewBuilder(policy.SnapshotOptions(x.cfg))
	if err := x.scaled.Fill(x.builder); err != nil {
		b.Fatal(err)
	}
	x.scaled.FillBeside(x.builder)
	x.snapshot = x.builder.Snapshot()
	return x
}

// judgePolicy is what one admission request costs after decoding: both clusters, all guardrails, the decision.
func (x *bench) judgePolicy(b *testing.B, s *cluster.Snapshot, old, new *networkingv1.NetworkPolicy) policy.Decision {
	b.Helper()
	c, err := policy.PolicyChange(s, old, new)
	if err != nil {
		b.Fatal(err)
	}
	return x.judge(b, c)
}

func (x *bench) judge(b *testing.B, c *policy.Change) policy.Decision {
	b.Helper()
	d := policy.Evaluate(x.cfg, x.guardrails, c)
	for _, f := range d.Failures {
		b.Fatalf("%s: %v", f.Guardrail, f.Err)
	}
	return d
}

// typical is one kind of change that developers make, in a variety of cases.
type typical struct {
	name string
	make func(i int) *policy.Change
}

// variety counts the cases of each kind of typical change.
const variety = 1000

// typicalChanges makes each time a change of another namespace.
func (x *bench) typicalChanges(b *testing.B) []typical {
	b.Helper()
	stored := func(i int) []*networkingv1.NetworkPolicy { return x.scaled.Policies(x.scaled.Tenant(i * 13)) }
	var created, updated, deleted, before []*networkingv1.NetworkPolicy
	var pods, edited []*cluster.Workload
	for i := range variety {
		rng := rand.New(rand.NewPCG(2, uint64(i)))
		created = append(created, newPolicy(stored(i)[0].Namespace, i))
		old := stored(i)[i%5]
		before = append(before, old)
		updated = append(updated, edit(old, i))
		deleted = append(deleted, stored(i)[rng.IntN(5)])
		running := x.scaled.Pods(x.scaled.Tenant(i * 13))
		p := running[rng.IntN(len(running))]
		relabelled := p.DeepCopy()
		relabelled.Labels["tier"] = []string{"api", "canary", "db"}[i%3]
		pods, edited = append(pods, cluster.WorkloadOf(p)), append(edited, cluster.WorkloadOf(relabelled))
	}
	change := func(old, new *networkingv1.NetworkPolicy) *policy.Change {
		c, err := policy.PolicyChange(x.snapshot, old, new)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	return []typical{
		{"create", func(i int) *policy.Change { return change(nil, created[i]) }},
		{"update", func(i int) *policy.Change { return change(before[i], updated[i]) }},
		{"delete", func(i int) *policy.Change { return change(deleted[i], nil) }},
		{"pod labels", func(i int) *policy.Change {
			return policy.WorkloadChange(x.snapshot, "Pod", "pod", pods[i], edited[i])
		}},
		{"pod create", func(i int) *policy.Change { return policy.WorkloadChange(x.snapshot, "Pod", "pod", nil, pods[i]) }},
	}
}

// BenchmarkEvaluate judges typical changes in a cluster of 2,000 namespaces, 150,000 pods and 10,000 policies, each
// time of another namespace of some 75 pods and five policies: with all guardrails, and with all but connectivity-diff,
// which alone looks at every pair of workloads.
func BenchmarkEvaluate(b *testing.B) { newBench(b).evaluate(b, nil) }

// BenchmarkEvaluateBusy is BenchmarkEvaluate in a cluster in which a pod comes before every change.
func BenchmarkEvaluateBusy(b *testing.B) {
	x := newBench(b)
	x.evaluate(b, x.podComes)
}

// BenchmarkEvaluateSmall is BenchmarkEvaluate in a cluster of 50 namespaces, 3,000 pods and 250 policies, as hack/bench
// compares it with a webhook that does nothing. There the mean counts.
func BenchmarkEvaluateSmall(b *testing.B) { newBenchOf(b, smallCluster()).evaluate(b, nil) }

func smallCluster() *policytest.Scaled { return policytest.Scale(50, 3000, 250, 1) }

func (x *bench) evaluate(b *testing.B, before func(i int)) {
	b.Helper()
	all, kinds := x.guardrails, x.typicalChanges(b)
	without := slices.DeleteFunc(slices.Clone(all), func(g policy.Guardrail) bool { return g.Slug == "connectivity-diff" })
	for _, set := range []struct {
		suffix     string
		guardrails []policy.Guardrail
	}{{"", all}, {" without connectivity-diff", without}} {
		x.guardrails = set.guardrails
		for _, k := range kinds {
			b.Run(k.name+set.suffix, func(b *testing.B) {
				denied, n := 0, 0
				policytest.PreparedPercentiles(b, variety, before, func(i int) {
					if d := x.judge(b, k.make(i)); !d.Allowed {
						denied++
					}
					n++
				})
				b.ReportMetric(100*float64(denied)/float64(n), "%denied")
			})
		}
	}
}

// podComes has a pod come and publishes the snapshot with it.
func (x *bench) podComes(i int) {
	x.builder.SetPod(cluster.PodOf(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "comes", Labels: map[string]string{"n": fmt.Sprint(i)}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}))
	x.snapshot = x.builder.Snapshot()
}

// BenchmarkGuardrails tells what each guardrail adds to BenchmarkEvaluate: the mean of its time, its share of all, and its
// slowest cases. What guardrails share, such as the Difference, counts for the first one that asks.
// "(change)" is what making the change costs, "(decision)" what trying the fixes does. go test -v shows all, else the dearest.
func BenchmarkGuardrails(b *testing.B) {
	for _, size := range []struct {
		name string
		make func() *bench
	}{
		{"2000 namespaces", func() *bench { return newBench(b) }},
		{"50 namespaces", func() *bench { return newBenchOf(b, smallCluster()) }},
	} {
		x := size.make()
		for _, k := range x.typicalChanges(b) {
			b.Run(size.name+"/"+k.name, func(b *testing.B) { x.shares(b, k) })
		}
	}
}

func (x *bench) shares(b *testing.B, k typical) {
	b.Helper()
	s := shares{}
	for i := 0; b.Loop(); i = (i + 1) % variety {
		var c *policy.Change
		s.time("(change)", i, func() { c = k.make(i) })
		var results []policy.Result
		for _, g := range policy.Applicable(x.cfg, x.guardrails, c) {
			s.time(g.Slug, i, func() { results = append(results, policy.Check(x.cfg, g, c)) })
		}
		s.time("(decision)", i, func() { policy.Decide(x.cfg, c, results) })
	}
	b.Log(s.report(b.N))
}

// BenchmarkDifference works out what the same kinds of changes cut and open among 150,000 pods. "default deny" is the
// costliest that a developer can ask for: the first policy of an open namespace, which cuts it from all others.
func BenchmarkDifference(b *testing.B) {
	x := newBench(b)
	const variety = 1000
	change := func(old, new *networkingv1.NetworkPolicy) *policy.Change {
		c, err := policy.PolicyChange(x.snapshot, old, new)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	stored := func(i int) []*networkingv1.NetworkPolicy { return x.scaled.Policies(x.scaled.Tenant(i * 13)) }
	kinds := []struct {
		name string
		make func(i int) *policy.Change
	}{
		{"create", func(i int) *policy.Change { return change(nil, newPolicy(stored(i)[0].Namespace, i)) }},
		{"update", func(i int) *policy.Change { old := stored(i)[i%5]; return change(old, edit(old, i)) }},
		{"delete", func(i int) *policy.Change { return change(stored(i)[i%5], nil) }},
		{"default deny", func(i int) *policy.Change {
			open, all := x.snapshot, stored(i)
			for _, np := range all {
				open = open.WithoutPolicy(np.Namespace, np.Name)
			}
			c, err := policy.PolicyChange(open, nil, all[0])
			if err != nil {
				b.Fatal(err)
			}
			return c
		}},
		{"pod labels", func(i int) *policy.Change {
			running := x.scaled.Pods(x.scaled.Tenant(i * 13))
			p := running[i%len(running)]
			relabelled := p.DeepCopy()
			relabelled.Labels["tier"] = []string{"api", "canary", "db"}[i%3]
			return policy.WorkloadChange(x.snapshot, "Pod", "pod", cluster.WorkloadOf(p), cluster.WorkloadOf(relabelled))
		}},
		{"namespace labels", func(i int) *policy.Change {
			old := x.scaled.Namespace(x.scaled.Tenant(i * 13))
			relabelled := old.DeepCopy()
			relabelled.Labels["team"] = fmt.Sprintf("team-%03d", i%400)
			return policy.NamespaceChange(x.snapshot, old, relabelled)
		}},
	}
	x.builder.SetTierPolicy(everybodyDNS(b))
	tiered := x.builder.Snapshot()
	kinds = append(kinds, struct {
		name string
		make func(i int) *policy.Change
	}{"create beside an Admin policy", func(i int) *policy.Change {
		c, err := policy.PolicyChange(tiered, nil, newPolicy(stored(i)[0].Namespace, i))
		if err != nil {
			b.Fatal(err)
		}
		return c
	}})
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			cut, opened, stopped := 0, 0, 0
			var c *policy.Change
			policytest.PreparedPercentiles(b, variety, func(i int) { c = k.make(i) }, func(int) {
				d := c.Difference()
				cut, opened = cut+d.Cut, opened+d.Opened
				if !d.Extent.Complete() {
					stopped++
				}
			})
			b.ReportMetric(float64(cut)/float64(b.N), "cut/op")
			b.ReportMetric(float64(opened)/float64(b.N), "opened/op")
			b.ReportMetric(100*float64(stopped)/float64(b.N), "%stopped")
		})
	}
}

// everybodyDNS is an Admin policy about all pods, as a platform team has it.
func everybodyDNS(b *testing.B) *netpol.TierPolicy {
	b.Helper()
	np := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "dns"}}
	np.Spec.Tier, np.Spec.Subject.Namespaces = v1alpha2.AdminTier, &metav1.LabelSelector{}
	resolver := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "kube-system"}}
	np.Spec.Egress = []v1alpha2.ClusterNetworkPolicyEgressRule{{Action: v1alpha2.ClusterNetworkPolicyRuleActionAccept,
		To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{Namespaces: resolver}}}}
	p, err := netpol.CompileClusterNetworkPolicy(np)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// newPolicy makes what a developer may add to a namespace.
func newPolicy(namespace string, i int) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "added"},
	}
	api := metav1.LabelSelector{MatchLabels: map[string]string{"tier": "api"}}
	everywhere := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	team := networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprintf("team-%03d", i%400)}}, PodSelector: &api,
	}
	switch i % 5 {
	case 0: // a second default-deny
		np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	case 1: // one more client
		np.Spec.PodSelector, np.Spec.PolicyTypes = api, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{team}}}
	case 2: // a selector with a typing error
		np.Spec.PodSelector.MatchLabels = map[string]string{"app": "apii"}
		np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	case 3: // open to every namespace
		np.Spec.PodSelector, np.Spec.PolicyTypes = api, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{everywhere}}}
	case 4: // to the world
		np.Spec.PodSelector, np.Spec.PolicyTypes = api, []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		np.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0"}}}}}
	}
	return np
}

// edit changes a policy a little: its subject, or its rules.
func edit(np *networkingv1.NetworkPolicy, i int) *networkingv1.NetworkPolicy {
	out := np.DeepCopy()
	switch {
	case i%2 == 0:
		out.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"tier": "api"}}
	case len(out.Spec.Egress) > 0:
		out.Spec.Egress = nil
	default:
		out.Spec.Ingress = append(out.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "monitoring"}},
		}}})
	}
	return out
}

// BenchmarkEvaluateWorst judges the changes that cost most.
func BenchmarkEvaluateWorst(b *testing.B) {
	x := newBench(b)
	x.builder.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "large", Labels: map[string]string{corev1.LabelMetadataName: "large"}}})
	x.snapshot = x.builder.Snapshot()
	deny := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: "default-deny"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}},
	}
	with := func(pods []*corev1.Pod, policies ...*networkingv1.NetworkPolicy) *cluster.Snapshot {
		c := cluster.NamespaceContents{}
		for _, p := range pods {
			c.Pods = append(c.Pods, cluster.PodOf(p))
		}
		for _, np := range policies {
			p, err := netpol.Compile(np)
			if err != nil {
				b.Fatal(err)
			}
			c.Policies = append(c.Policies, p)
		}
		return x.snapshot.WithContents("large", c)
	}
	run := func(name string, s *cluster.Snapshot, old, new *networkingv1.NetworkPolicy) {
		b.Run(name, func(b *testing.B) {
			policytest.Percentiles(b, 1, func(int) { x.judgePolicy(b, s, old, new) })
		})
	}
	distinct := policytest.ManyWorkloads("large", 5000)
	run("default-deny over 5000 workloads", with(distinct), nil, deny)
	run("default-deny goes from 5000 workloads", with(distinct, deny), deny, nil)

	byName := deny.DeepCopy()
	byName.Name, byName.Spec.PodSelector = "by-name", metav1.LabelSelector{MatchLabels: map[string]string{"statefulset.kubernetes.io/pod-name": "db-17"}}
	stateful := policytest.LargeStatefulSet("large", 5000)
	run("StatefulSet of 5000 selected by pod name", with(stateful), nil, byName)
	run("StatefulSet of 5000 already selected by pod name", with(stateful, byName), nil, deny)

	few := policytest.ManyWorkloads("large", 10)
	run("policy of 9000 rules", with(few), nil, manyRules(9000))
	run("policy of 9000 rules goes", with(few, manyRules(9000)), manyRules(9000), nil)

	everywhere := deny.DeepCopy()
	for range 10 {
		peers := []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody"}}}}
		everywhere.Spec.Ingress = append(everywhere.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers})
		everywhere.Spec.Egress = append(everywhere.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers})
	}
	run("20 peers that are looked for in all namespaces", with(few), nil, everywhere)
}

// manyRules makes a policy about as large as etcd stores.
func manyRules(n int) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: "many-rules"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
	}
	for i := range n {
		np.Spec.Egress = append(np.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{{
			IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)},
		}}})
	}
	return np
}
