package audit_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// The oracle judges every object by itself: a cluster built anew without it, the change that creates it, all guardrails, and
// once more with every guardrail at Deny.
type oracle struct {
	cfg, denying *config.Config
	world        *world
}

func newOracle(t *testing.T, cfg *config.Config) *oracle {
	t.Helper()
	text := "maximumAction: Deny\n" + judgedFully
	for _, g := range guardrails.All() {
		if strings.Contains(text, "  "+g.Slug+": {") {
			text = strings.Replace(text, "  "+g.Slug+": {", "  "+g.Slug+": {action: Deny, ", 1)
		} else {
			text += "  " + g.Slug + ": {action: Deny}\n"
		}
	}
	return &oracle{cfg: cfg, denying: settings(t, text)}
}

// without builds the cluster anew without the object.
func (o *oracle) without(t *testing.T, object metav1.Object) *cluster.Snapshot {
	t.Helper()
	return manifest.Build(o.world.read(t, func(obj metav1.Object) bool { return obj == object }), policy.SnapshotOptions(o.cfg))
}

// judged lists what is said of a change.
func (o *oracle) judged(t *testing.T, kind, name string, c func() *policy.Change) []string {
	t.Helper()
	apart := func(cfg *config.Config) []policy.Finding {
		change := c()
		change.Disclose, change.Complete = true, true
		all := slices.DeleteFunc(guardrails.All(), func(g policy.Guardrail) bool { return g.Slug == "connectivity-diff" || g.Slug == "cni-inert" })
		return policy.Evaluate(cfg, all, change).Findings
	}
	denied := apart(o.denying)
	var out []string
	for _, f := range apart(o.cfg) {
		would := slices.ContainsFunc(denied, func(d policy.Finding) bool {
			return d.Guardrail == f.Guardrail && d.Field == f.Field && d.Detail == f.Detail && d.Action == config.Deny
		})
		out = append(out, fmt.Sprint(kind, name, f.Action, f.Guardrail, f.Field, f.Detail, f.Reason, f.Headline, f.Live, f.Affected, would))
	}
	return out
}

func (o *oracle) policies(t *testing.T, namespace string) (out []string) {
	for _, np := range o.world.policies {
		if np.Namespace == namespace {
			object, err := manifest.New(np)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, o.judged(t, "NetworkPolicy", np.Name, func() *policy.Change {
				c, err := policy.PolicyChange(o.without(t, np), nil, object.NetworkPolicy())
				if err != nil {
					t.Fatal(err)
				}
				return c
			})...)
		}
	}
	return out
}

func (o *oracle) workloads(t *testing.T, namespace string) (out []string) {
	s := o.without(t, nil)
	for _, w := range s.Candidates(s.Namespace(namespace)) {
		kind := w.Kind
		if !w.Template {
			kind = "Pod"
		}
		out = append(out, o.judged(t, kind, w.Name, func() *policy.Change {
			return policy.WorkloadChange(o.without(t, nil), kind, w.Name, nil, w)
		})...)
	}
	return out
}

func said(findings []audit.Finding) []string {
	var out []string
	for i := range findings {
		f := &findings[i]
		out = append(out, fmt.Sprint(f.Kind, f.Name, f.Action, f.Guardrail, f.Field, f.Detail, f.Reason, f.Headline, f.Live, f.Affected, f.WouldDeny))
	}
	slices.Sort(out)
	return out
}

// TestEqualsEachObjectAlone: the audit of a cluster is what the guardrails say of each object created last.
func TestEqualsEachObjectAlone(t *testing.T) {
	rng := random(t)
	findings := map[string]int{}
	for _, text := range []string{"maximumAction: Deny", "maximumAction: Warn"} {
		cfg := settings(t, text+judgedFully)
		o := newOracle(t, cfg)
		for range 100 {
			o.world = newWorld(rng)
			objects := o.world.read(t, nil)
			s := manifest.Build(objects, policy.SnapshotOptions(cfg))
			r := audit.Scan(t.Context(), s, options(cfg, objects))
			for i := range r.Namespaces {
				n := &r.Namespaces[i]
				var want []string
				if n.Name != "exempt" {
					want = slices.Concat(o.policies(t, n.Name), o.workloads(t, n.Name))
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, said(n.Findings)); diff != "" {
					t.Fatalf("%s (-each alone +audit):\n%s", n.Name, diff)
				}
				for _, f := range n.Failures {
					t.Fatalf("%s: %v", f.Guardrail, f.Err)
				}
				for k := range n.Findings {
					findings[n.Findings[k].Guardrail]++
				}
			}
		}
	}
	if len(findings) < 20 {
		t.Errorf("only these guardrails found anything, so the clusters are no test: %v", findings)
	}
}

// TestPodsAreLikeTheirWorkload: what is said in a namespace of the pods that no policy can tell apart is what is said of each pod.
func TestPodsAreLikeTheirWorkload(t *testing.T) {
	rng := random(t)
	cfg := settings(t, "maximumAction: Deny"+judgedFully)
	some := 0
	for range 200 {
		w := newWorld(rng)
		objects := w.read(t, nil)
		s := manifest.Build(objects, policy.SnapshotOptions(cfg))
		r := audit.Scan(t.Context(), s, options(cfg, objects))
		want, got := map[string]bool{}, map[string]bool{}
		for _, p := range w.pods {
			if !cluster.Governed(p) || p.Namespace == "exempt" {
				continue
			}
			c := policy.WorkloadChange(s, "Pod", p.Name, nil, cluster.WorkloadOf(p))
			c.Disclose = true
			all := slices.DeleteFunc(guardrails.All(), func(g policy.Guardrail) bool { return g.Slug == "connectivity-diff" })
			for _, f := range policy.Evaluate(cfg, all, c).Findings {
				want[fmt.Sprintln(p.Namespace, f.Guardrail, f.Action, f.WouldDeny)] = true
			}
		}
		for i := range r.Namespaces {
			for _, f := range r.Namespaces[i].Findings {
				if f.Kind == "Pod" {
					got[fmt.Sprintln(r.Namespaces[i].Name, f.Guardrail, f.Action, f.WouldDeny)] = true
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("pods (-each alone +audit):\n%s", diff)
		}
		some += len(got)
	}
	if some < 50 {
		t.Errorf("%d findings about pods: the clusters are no test", some)
	}
}

// TestOrderDoesNotMatter: the same objects in any order give the same report, byte for byte, and it is that of its parts.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := random(t)
	cfg := settings(t, "maximumAction: Deny"+judgedFully)
	for range 40 {
		objects := newWorld(rng).read(t, nil)
		write := func() string {
			s := manifest.Build(objects, policy.SnapshotOptions(cfg))
			o := options(cfg, objects)
			whole := audit.Scan(t.Context(), s, o)
			for i := range whole.Namespaces {
				if part := audit.ScanNamespace(t.Context(), s, o, whole.Namespaces[i].Name); !cmp.Equal(part, whole.Namespaces[i]) {
					t.Fatalf("ScanNamespace and Scan differ (-part +whole):\n%s", cmp.Diff(part, whole.Namespaces[i]))
				}
			}
			if diff := cmp.Diff(audit.ScanCluster(s, o), whole.Cluster); diff != "" {
				t.Fatalf("ScanCluster and Scan differ (-part +whole):\n%s", diff)
			}
			data, err := json.Marshal(whole)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		first := write()
		rng.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		if diff := cmp.Diff(first, write()); diff != "" {
			t.Fatalf("the order of the objects matters:\n%s", diff)
		}
	}
}
