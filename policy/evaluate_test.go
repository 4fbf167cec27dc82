package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// guardrail makes one that denies by default and says what check gives.
func guardrail(slug string, check func(c *policy.Change) []policy.Violation) policy.Guardrail {
	return policy.Guardrail{
		Slug: slug, On: []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite}, DefaultAction: config.Deny,
		Check: func(c *policy.Change, _ any) []policy.Violation { return check(c) },
	}
}

func says(v ...policy.Violation) func(*policy.Change) []policy.Violation {
	return func(*policy.Change) []policy.Violation { return v }
}

func creation(t *testing.T) *policy.Change {
	t.Helper()
	c, err := policy.PolicyChange(shop(t), nil, networkPolicy("p", nil, ingress))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// outcome writes a decision in one line.
func outcome(d policy.Decision) string {
	var parts []string
	for _, f := range d.Findings {
		parts = append(parts, fmt.Sprintf("%s %s %s%s fix=%v", f.Action, f.Guardrail, f.Field, f.Detail, f.Fix != nil))
	}
	for _, f := range d.Failures {
		parts = append(parts, "failed "+f.Guardrail)
	}
	return fmt.Sprintf("allowed=%v undecided=%v: %s", d.Allowed, d.Undecided, strings.Join(parts, "; "))
}

func TestDecideActions(t *testing.T) {
	live, other := policy.Violation{Live: true}, policy.Violation{}
	liveOnly := guardrail("g", says(live))
	liveOnly.LiveOnly = true
	liveOnlyOther := guardrail("g", says(other))
	liveOnlyOther.LiveOnly = true
	template := policy.WorkloadChange(shop(t), "Deployment", "web", nil, &cluster.Workload{Namespace: "shop", Name: "web", Template: true})
	rollout := policy.WorkloadChange(shop(t), "Deployment", "web", nil, &cluster.Workload{Namespace: "shop", Name: "web", Template: true})
	rollout.Rollout = true
	for _, c := range []struct {
		name, config string
		change       *policy.Change
		guardrail    policy.Guardrail
		want         string
	}{
		{"a fresh install warns", "", creation(t), guardrail("g", says(live)), "allowed=true undecided=false: Warn g  fix=false"},
		{"lifted cap", "maximumAction: Deny", creation(t), guardrail("g", says(other)), "allowed=false undecided=false: Deny g  fix=false"},
		{"live only, live", "maximumAction: Deny", creation(t), liveOnly, "allowed=false undecided=false: Deny g  fix=false"},
		{"live only, not live", "maximumAction: Deny", creation(t), liveOnlyOther, "allowed=true undecided=false: Warn g  fix=false"},
		{"templates warn", "maximumAction: Deny", template, guardrail("g", says(live)), "allowed=true undecided=false: Warn g  fix=false"},
		{"a template that its author rolls out", "maximumAction: Deny", rollout, liveOnlyOther, "allowed=false undecided=false: Deny g  fix=false"},
		{"audit", "maximumAction: Deny\nguardrails: {g: {action: Audit}}", creation(t), guardrail("g", says(live)), "allowed=true undecided=false: Audit g  fix=false"},
		{"off", "maximumAction: Deny\nguardrails: {g: {action: \"Off\"}}", creation(t), guardrail("g", says(live)), "allowed=true undecided=false: "},
		{"no violation", "maximumAction: Deny", creation(t), guardrail("g", says()), "allowed=true undecided=false: "},
	} {
		list := []policy.Guardrail{c.guardrail}
		same(t, c.name, c.want, outcome(policy.Evaluate(settings(t, list, c.config), list, c.change)))
	}
}

// TestApplicable: a guardrail is asked only about the changes that it judges.
func TestApplicable(t *testing.T) {
	g := guardrail("g", says(policy.Violation{}))
	g.On = []policy.Trigger{policy.PolicyDelete}
	list := []policy.Guardrail{g}
	same(t, "creation", 0, len(policy.Applicable(settings(t, list, ""), list, creation(t))))
	p := networkPolicy("p", nil, ingress)
	c, err := policy.PolicyChange(shop(t), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "deletion", 1, len(policy.Applicable(settings(t, list, ""), list, c)))
}

func TestDecideOrder(t *testing.T) {
	list := []policy.Guardrail{
		guardrail("z", says(policy.Violation{Field: "b", Detail: "2"}, policy.Violation{Field: "b", Detail: "1"}, policy.Violation{Field: "a"})),
		guardrail("m", says(policy.Violation{})), guardrail("a", says(policy.Violation{})), guardrail("y", says(policy.Violation{})),
	}
	cfg := settings(t, list, "maximumAction: Deny\nguardrails: {m: {action: Audit}, a: {action: Warn}}")
	same(t, "order", "allowed=false undecided=false: Deny y  fix=false; Deny z a fix=false; Deny z b1 fix=false; Deny z b2 fix=false; Warn a  fix=false; Audit m  fix=false",
		outcome(policy.Evaluate(cfg, list, creation(t))))
}

// TestFailures: a panic is that guardrail's failure; what the others say stands, and the config says what failures do.
func TestFailures(t *testing.T) {
	broken := guardrail("broken", func(*policy.Change) []policy.Violation { panic("out of order") })
	denies := guardrail("denies", says(policy.Violation{}))
	for _, c := range []struct {
		name, config string
		list         []policy.Guardrail
		want         string
		action       config.Action
	}{
		{"beside a violation", "maximumAction: Deny", []policy.Guardrail{denies, broken}, "allowed=false undecided=false: Deny denies  fix=false; failed broken", config.Audit},
		{"beside nothing", "maximumAction: Deny", []policy.Guardrail{guardrail("fine", says()), broken}, "allowed=true undecided=false: failed broken", config.Audit},
		{"alone", "maximumAction: Deny", []policy.Guardrail{broken}, "allowed=true undecided=true: failed broken", config.Audit},
		{"failures deny", "maximumAction: Deny\nerrorAction: Deny", []policy.Guardrail{guardrail("fine", says()), broken}, "allowed=false undecided=false: failed broken", config.Deny},
		{"an install that warns never denies for its own fault", "maximumAction: Warn\nerrorAction: Deny", []policy.Guardrail{broken}, "allowed=true undecided=true: failed broken", config.Warn},
	} {
		d := policy.Evaluate(settings(t, c.list, c.config), c.list, creation(t))
		same(t, c.name, c.want, outcome(d))
		same(t, c.name+": action", c.action, d.FailureAction)
		if err := d.Failures[0].Err.Error(); !strings.Contains(err, "out of order") || !strings.Contains(err, "evaluate_test.go") {
			t.Errorf("%s: the error does not say what panicked and where: %s", c.name, err)
		}
	}
	same(t, "nothing applies", "allowed=true undecided=false: ", outcome(policy.Evaluate(settings(t, nil, ""), nil, creation(t))))
}

// TestFixesAreTried: a fix is shown only where it makes the guardrail pass and no other one deny.
func TestFixesAreTried(t *testing.T) {
	// wants denies a policy without the label want=yes on its subject.
	wants := func(fix *policy.Fix) func(c *policy.Change) []policy.Violation {
		return func(c *policy.Change) []policy.Violation {
			if v, ok := c.NewPolicy.Subject.Exact("want"); ok && v == "yes" {
				return nil
			}
			return []policy.Violation{{Field: "spec.podSelector", Live: true, Fix: fix}}
		}
	}
	good := &policy.Fix{Instead: networkPolicy("p", map[string]string{"want": "yes"}, ingress)}
	refusesGood := guardrail("other", func(c *policy.Change) []policy.Violation {
		if _, ok := c.NewPolicy.Subject.Exact("want"); ok {
			return []policy.Violation{{Field: "spec", Live: true}}
		}
		return nil
	})
	warnsOfGood := refusesGood
	warnsOfGood.DefaultAction = config.Warn
	panicsOnGood := guardrail("other", func(c *policy.Change) []policy.Violation {
		if _, ok := c.NewPolicy.Subject.Exact("want"); ok {
			panic("cannot judge that")
		}
		return nil
	})
	deniesAnyway := guardrail("other", says(policy.Violation{Field: "spec", Live: true}))
	broken := guardrail("other", func(*policy.Change) []policy.Violation { panic("out of order") })
	for _, c := range []struct {
		name  string
		fix   *policy.Fix
		other []policy.Guardrail
		want  bool
	}{
		{"holds", good, nil, true},
		{"changes nothing", &policy.Fix{Instead: networkPolicy("p", nil, egress)}, nil, false},
		{"does not parse", &policy.Fix{Instead: networkPolicy("p", nil, "Sideways")}, nil, false},
		{"is ill-made", &policy.Fix{First: []*networkingv1.NetworkPolicy{nil}}, nil, false},
		{"makes another guardrail deny", good, []policy.Guardrail{refusesGood}, false},
		{"makes another guardrail warn", good, []policy.Guardrail{warnsOfGood}, true},
		{"makes another guardrail fail", good, []policy.Guardrail{panicsOnGood}, false},
		{"beside a guardrail that denies anyway", good, []policy.Guardrail{deniesAnyway}, true},
		{"beside a guardrail that fails anyway", good, []policy.Guardrail{broken}, true},
	} {
		list := append([]policy.Guardrail{guardrail("own", wants(c.fix))}, c.other...)
		d := policy.Evaluate(settings(t, list, "maximumAction: Deny"), list, creation(t))
		found := false
		for _, f := range d.Findings {
			if f.Guardrail == "own" {
				found = true
				same(t, c.name, c.want, f.Fix != nil)
			}
		}
		same(t, c.name+": the violation itself stands", []bool{true, false}, []bool{found, d.Allowed})
	}
}

// TestDecisionsAreReproducible: the same cluster, filled in another order, gives the same decision word for word, for
// all guardrails.
func TestDecisionsAreReproducible(t *testing.T) {
	all := guardrails.All()
	cfg := settings(t, all, "maximumAction: Deny\ndiscloseOtherNamespaces: true")
	scaled := policytest.Scale(12, 600, 60, 7)
	build := func(rng *rand.Rand) *cluster.Snapshot {
		b := cluster.NewBuilder(policy.SnapshotOptions(cfg))
		var steps []func()
		for i := range scaled.Namespaces() {
			steps = append(steps, func() { b.SetNamespace(scaled.Namespace(i)) })
			for _, obj := range scaled.Templates(i) {
				if x, ok := cluster.TemplateOf(obj); ok {
					steps = append(steps, func() { b.SetTemplate(x) })
				}
			}
			for _, p := range scaled.Pods(i) {
				steps = append(steps, func() { b.SetPod(cluster.PodOf(p)) })
			}
			for _, x := range scaled.Services(i) {
				steps = append(steps, func() { b.SetService(cluster.ServiceOf(x)) })
			}
			for _, np := range scaled.Policies(i) {
				p, err := netpol.Compile(np)
				if err != nil {
					t.Fatal(err)
				}
				steps = append(steps, func() { b.SetPolicy(p) })
			}
		}
		rng.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			step()
		}
		return b.Snapshot()
	}
	decide := func(s *cluster.Snapshot) string {
		var out strings.Builder
		write := func(c *policy.Change) {
			d := policy.Evaluate(cfg, all, c)
			fmt.Fprintln(&out, outcome(d))
			for _, f := range d.Findings {
				fmt.Fprintf(&out, "%+v\n", f.Affected)
				if f.Fix != nil {
					fmt.Fprintln(&out, f.Headline, f.Reason, f.Fix.Say, f.Fix.YAML)
				}
			}
		}
		for i := range 20 {
			stored := scaled.Policies(scaled.Tenant(i))
			old := stored[i%len(stored)]
			for _, pair := range [][2]*networkingv1.NetworkPolicy{{nil, newPolicy(old.Namespace, i)}, {old, edit(old, i)}, {old, nil}} {
				c, err := policy.PolicyChange(s, pair[0], pair[1])
				if err != nil {
					t.Fatal(err)
				}
				c.Disclose = true
				write(c)
			}
			p := scaled.Pods(scaled.Tenant(i))[0]
			relabelled := p.DeepCopy()
			relabelled.Labels["tier"] = "other"
			write(policy.WorkloadChange(s, "Pod", p.Name, cluster.WorkloadOf(p), cluster.WorkloadOf(relabelled)))
		}
		return out.String()
	}
	want := decide(build(rand.New(rand.NewPCG(0, 0))))
	if !strings.Contains(want, "allowed=false") || !strings.Contains(want, "fix=true") {
		t.Fatal("the changes are too tame: none is denied with a fix")
	}
	for seed := range uint64(5) {
		if got := decide(build(rand.New(rand.NewPCG(seed, 1)))); got != want {
			same(t, fmt.Sprintf("decisions of the cluster filled in order %d", seed), strings.Split(want, "\n"), strings.Split(got, "\n"))
			return
		}
	}
}

// TestWouldDeny: whether a violation would be denied at Deny depends on what it is about, and not on what the config does now.
func TestWouldDeny(t *testing.T) {
	live, other := policy.Violation{Live: true}, policy.Violation{}
	change := func(edit func(*policy.Change)) *policy.Change {
		c := creation(t)
		edit(c)
		return c
	}
	template := policy.WorkloadChange(shop(t), "Deployment", "web", nil, &cluster.Workload{Namespace: "shop", Name: "web", Template: true})
	rollout := policy.WorkloadChange(shop(t), "Deployment", "web", nil, &cluster.Workload{Namespace: "shop", Name: "web", Template: true})
	rollout.Rollout = true
	plain := func(*policy.Guardrail) {}
	liveOnly := func(g *policy.Guardrail) { g.LiveOnly = true }
	byRequester := func(g *policy.Guardrail) { g.ByRequester = true }
	atMostWarn := func(g *policy.Guardrail) { g.AtMost = config.Warn }
	owned := change(func(c *policy.Change) { c.Owner = "ConfigMap owner" })
	capped := change(func(c *policy.Change) { c.Cap = config.Warn })
	for _, c := range []struct {
		name      string
		change    *policy.Change
		guardrail func(*policy.Guardrail)
		violation policy.Violation
		want      bool
	}{
		{"a policy", creation(t), plain, other, true},
		{"live pods", creation(t), liveOnly, live, true},
		{"no live pods", creation(t), liveOnly, other, false},
		{"a template", template, plain, live, false},
		{"a template that its author rolls out", rollout, liveOnly, other, true},
		{"what is never sure enough", creation(t), atMostWarn, live, false},
		{"an owner whose deletion is to be feared", owned, plain, live, false},
		{"an owner, and who asks is at fault", owned, byRequester, live, true},
		{"a namespace where nothing is refused", capped, plain, live, false},
	} {
		g := guardrail("g", says(c.violation))
		c.guardrail(&g)
		list := []policy.Guardrail{g}
		for _, text := range []string{
			"", "maximumAction: Deny", "maximumAction: Audit", "maximumAction: Deny\nguardrails: {g: {action: Audit}}", "guardrails: {g: {action: Warn}}",
		} {
			d := policy.Evaluate(settings(t, list, text), list, c.change)
			if len(d.Findings) != 1 || d.Findings[0].WouldDeny != c.want {
				t.Errorf("%s under %q: %+v, want WouldDeny=%v", c.name, text, d.Findings, c.want)
			}
			if d.Findings[0].Action == config.Deny && !d.Findings[0].WouldDeny {
				t.Errorf("%s under %q: it is denied and would not be", c.name, text)
			}
		}
	}
}
