package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// fixturesDir holds the situations, requests and exact words that the guardrails' own tests judge in memory.
const fixturesDir = "../policy/guardrails/testdata"

// notReplayed lists the fixtures that no real API server can be brought into, with the reason.
var notReplayed = map[string]string{}

// replay is a fixture with what it needs of the cluster.
type replay struct {
	*policytest.Fixture
	config  string
	objects []*unstructured.Unstructured
}

// testFixtures replays every fixture through kubectl, with all guardrails on: the objects are created and their
// controllers run them, then the request is made as a dry run, so that the situation stays for the next fixture.
func (s *suite) testFixtures(t *testing.T) {
	fixtures, err := policytest.Load(fixturesDir)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s)
	missing := map[string]bool{}
	for name := range notReplayed {
		missing[name] = true
	}
	var replays []*replay
	for _, f := range fixtures {
		name := f.Guardrail + "/" + f.Name
		if _, excepted := notReplayed[name]; excepted {
			delete(missing, name)
			continue
		}
		if s.plane == nil && f.Resolver == "none" {
			t.Logf("%s is not replayed: it needs another resolver than this cluster's", name)
			continue
		}
		replays = append(replays, newReplay(t, f, w.resolver))
	}
	for name := range missing {
		t.Errorf("notReplayed names %s, which is no fixture any more", name)
	}
	// Neighbours share what is slow to change: most of all namespaces, whose controller lets each rest for 5 s before it
	// ends it, then the config and workloads.
	slices.SortStableFunc(replays, func(a, b *replay) int {
		return cmp.Or(strings.Compare(a.part(isNamespace), b.part(isNamespace)), strings.Compare(a.config, b.config),
			strings.Compare(a.part(isWorkload), b.part(isWorkload)))
	})
	inForce := baseConfig
	defer s.setConfig(t, baseConfig)
	defer w.make(t, w.resolver)
	for _, r := range replays {
		t.Run(r.Guardrail+"/"+r.Name, func(t *testing.T) {
			if r.config != inForce {
				s.setConfig(t, r.config)
				inForce = r.config
			}
			w.make(t, r.objects)
			checkReplay(t, r, s.ask(t, &r.Request))
		})
	}
}

// newReplay works out the objects of a fixture's cluster: those that it lists, the namespaces that it only names, and
// the resolver that every cluster has.
func newReplay(t *testing.T, f *policytest.Fixture, resolver []*unstructured.Unstructured) *replay {
	t.Helper()
	r := &replay{Fixture: f, config: configOf(t, f)}
	if f.Resolver != "none" {
		r.objects = append(r.objects, resolver...)
	}
	named, exist := map[string]bool{}, map[string]bool{"kube-system": true, "default": true}
	for i := range f.Cluster {
		o := object(t, &f.Cluster[i])
		r.objects = append(r.objects, o)
		if o.GetKind() == "Namespace" {
			exist[o.GetName()] = true
		} else {
			named[o.GetNamespace()] = true
		}
	}
	if f.Request.Object != nil {
		named[object(t, f.Request.Object).GetNamespace()] = true
	}
	for name := range named {
		if !exist[name] {
			o := &unstructured.Unstructured{}
			o.SetAPIVersion("v1")
			o.SetKind("Namespace")
			o.SetName(name)
			r.objects = append(r.objects, o)
		}
	}
	return r
}

// configOf gives the BulkheadConfig that the fixture is judged under, with author exempt as always.
func configOf(t *testing.T, f *policytest.Fixture) string {
	t.Helper()
	if len(f.Config) == 0 {
		return baseConfig
	}
	var c map[string]any
	if err := yaml.Unmarshal([]byte(baseConfig), &c); err != nil {
		t.Fatal(err)
	}
	for k, v := range f.Config {
		c[k] = v
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func object(t *testing.T, raw *runtime.RawExtension) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw.Raw, &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// part stands for the objects of some kinds.
func (r *replay) part(of func(kind string) bool) string {
	var parts []string
	for _, o := range r.objects {
		if of(o.GetKind()) {
			parts = append(parts, key(o)+" "+text(o))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

func isNamespace(kind string) bool { return kind == "Namespace" }
func isWorkload(kind string) bool  { return kind != "Namespace" && kind != "NetworkPolicy" }

// ask makes a fixture's request as dev.
func (s *suite) ask(t *testing.T, r *policytest.Request) answer {
	t.Helper()
	const dry = "--dry-run=server"
	if edit := r.Pod; edit != nil {
		args := []string{"label", "pod", s.podOf(t, edit.Namespace, edit.Of), "-n", edit.Namespace, "--overwrite", dry}
		for k, v := range edit.Labels {
			if v == nil {
				args = append(args, k+"-")
			} else {
				args = append(args, k+"="+*v)
			}
		}
		return s.dev(t, "", args...)
	}
	switch o := object(t, r.Object); r.Operation {
	case policy.Create:
		return s.dev(t, text(o), "create", "-f", "-", dry)
	case policy.Update:
		return s.dev(t, text(o), "replace", "-f", "-", dry)
	default:
		return s.dev(t, "", "delete", strings.ToLower(o.GetKind()), o.GetName(), "-n", o.GetNamespace(), dry)
	}
}

// checkReplay compares what kubectl printed about the fixture's guardrail with the words wanted. Other guardrails may
// have something to say as well.
func checkReplay(t *testing.T, r *replay, a answer) {
	t.Helper()
	message := messageOf(a)
	if !a.ok && message == "" {
		t.Fatalf("kubectl failed for another reason:\n%s", a.text())
	}
	var wanted, got []string
	for _, w := range r.Want {
		wanted = append(wanted, wantedLine(r, w))
		if w.Action == config.Deny && !inKubeSystem(r) {
			checkDenial(t, r.Guardrail, w, message)
		}
	}
	for line := range strings.Lines(a.stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "Warning: "+r.Guardrail+": ") || strings.HasPrefix(line, "  "+r.Guardrail+"  ") {
			got = append(got, line)
		}
	}
	slices.Sort(wanted)
	slices.Sort(got)
	if !slices.Equal(wanted, got) {
		t.Errorf("%s\n%s was to say\n  %s\nand said\n  %s", r.Why, r.Guardrail, strings.Join(wanted, "\n  "), strings.Join(got, "\n  "))
	}
	if t.Failed() {
		t.Logf("kubectl printed:\n%s", a.text())
	}
}

// wantedLine is how kubectl shows a finding.
func wantedLine(r *replay, w policytest.Want) string {
	if w.Action == config.Warn || inKubeSystem(r) {
		return clip("Warning: "+r.Guardrail+": "+w.Detail, len("Warning: ")+maxWarning)
	}
	reason := cmp.Or(w.Reason, w.Detail)
	if w.Field != "" {
		reason = w.Field + ": " + reason
	}
	return fmt.Sprintf("  %s  %s", r.Guardrail, reason)
}

// maxWarning is where Bulkhead cuts a warning, since the API server would do so less nicely.
const maxWarning = 256

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most-len("…")] + "…"
}

// inKubeSystem says that the request is about the namespace in which Bulkhead refuses nothing and warns instead.
func inKubeSystem(r *replay) bool {
	if r.Request.Pod != nil {
		return r.Request.Pod.Namespace == "kube-system"
	}
	o := &unstructured.Unstructured{}
	return json.Unmarshal(r.Request.Object.Raw, &o.Object) == nil && o.GetNamespace() == "kube-system"
}

// checkDenial looks for what a denial says of a finding beside its own line.
func checkDenial(t *testing.T, guardrail string, w policytest.Want, message string) {
	t.Helper()
	if strings.HasPrefix(message, guardrail+": ") { // else another guardrail's finding comes first
		if want := guardrail + ": " + cmp.Or(w.Headline, w.Detail) + " ("; !strings.HasPrefix(message, want) {
			t.Errorf("the message does not begin with %q", want)
		}
	}
	if len(w.Affected) > 0 {
		if want := "affects " + strings.Join(w.Affected, ", ") + "\n"; !strings.Contains(message, want) {
			t.Errorf("the message lacks %q", want)
		}
	}
	if w.FixSay != "" {
		if want := "\n  " + w.FixSay + "\n" + indent(w.Fix); !strings.Contains(message+"\n", want) {
			t.Errorf("the message lacks the fix\n%s", want)
		}
	}
}
