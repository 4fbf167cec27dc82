package lint_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/lint/render"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

func read(t *testing.T, file, text string) []manifest.Object {
	t.Helper()
	r := &manifest.Reader{DefaultNamespace: "shop", KeepText: true}
	r.Add(file, []byte(text))
	out, err := r.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// named gives the guardrails that the tests speak of, so that one more in the catalogue does not change what they expect.
func named() []policy.Guardrail {
	slugs := []string{
		"dns-cut", "isolation-lost", "isolation-side-effect", "label-drops-policy", "metadata-open", "ns-label-impact",
		"peer-no-namespace", "peer-no-pods", "rules-ignored", "selector-no-pods",
	}
	return slices.DeleteFunc(guardrails.All(), func(g policy.Guardrail) bool { return !slices.Contains(slugs, g.Slug) })
}

func settings(t testing.TB, lines string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\nmaximumAction: Deny\n"+lines), policy.Specs(guardrails.All()))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func input(t *testing.T, manifests, against string) *lint.Input {
	t.Helper()
	in := &lint.Input{Objects: read(t, "new.yaml", manifests), Config: settings(t, ""), Guardrails: named(), Alone: against == ""}
	if against != "" {
		in.Base = read(t, "old.yaml", against)
	}
	return in
}

// said writes what was found, a line each.
func said(r *lint.Report) []string {
	var out []string
	for i := range r.Findings {
		f := &r.Findings[i]
		fix := ""
		if f.Fix != nil {
			fix = " +fix"
		}
		out = append(out, fmt.Sprintf("%s:%d %s %s %s %s%s", f.Object.Source.File, f.Region.Line, f.Action, f.Guardrail, f.Operation, f.Object, fix))
	}
	return out
}

const (
	deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 2, template: {metadata: {labels: {app: api}}}}\n"
	database   = "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {template: {metadata: {labels: {app: db}}}}\n"
	denyEgress = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a-deny}\nspec: {podSelector: {}, policyTypes: [Egress]}\n"
	toDatabase = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api}\nspec:\n  podSelector: {matchLabels: {app: api}}\n" +
		"  policyTypes: [Egress]\n  egress:\n  - to: [{podSelector: {matchLabels: {app: db}}}]\n    ports: [{port: 5432}]\n"
	allowDNS = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: z-dns}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n" +
		"  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]\n" +
		"    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]\n"
	denyIngress = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wall}\nspec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}\n"
	fromOutside = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: scrape}\nspec:\n  podSelector: {matchLabels: {app: api}}\n" +
		"  ingress:\n  - from: [{namespaceSelector: {matchLabels: {%s: monitoring}}, podSelector: {matchLabels: {app: prometheus}}}]\n"
)

func TestRun(t *testing.T) {
	relabelled := strings.Replace(deployment, "app: api", "app: web", 1)
	idle := strings.Replace(deployment, "replicas: 2", "replicas: 0", 1)
	ignored := strings.Replace(toDatabase, "policyTypes: [Egress]", "policyTypes: [Ingress]", 1)
	tests := []struct {
		name, manifests, against string
		edit                     func(*lint.Input)
		want                     []string
	}{
		{"nothing", "", "", nil, nil},
		{"fine in any order", denyEgress + deployment + toDatabase + database + allowDNS, "", nil, nil},
		{"cut, once and not again at the template", deployment + denyEgress, "", nil, []string{"new.yaml:10 Deny dns-cut CREATE NetworkPolicy shop/a-deny +fix"}},
		{"two policies that each cut do not hide each other", toDatabase + denyEgress + deployment, "", nil, []string{
			"new.yaml:9 Warn peer-no-pods CREATE NetworkPolicy shop/api", "new.yaml:15 Deny dns-cut CREATE NetworkPolicy shop/a-deny +fix"}},
		{"nothing runs", idle + denyEgress, "", nil, []string{"new.yaml:10 Warn dns-cut CREATE NetworkPolicy shop/a-deny +fix"}},
		{"a namespace that is named counts as there", deployment + fmt.Sprintf(fromOutside, "kubernetes.io/metadata.name"), "", nil, nil},
		{"one that is described does not", deployment + fmt.Sprintf(fromOutside, "name"), "", nil, []string{
			"new.yaml:13 Warn peer-no-namespace CREATE NetworkPolicy shop/scrape"}},
		{"against a cluster it has to be there", fmt.Sprintf(fromOutside, "kubernetes.io/metadata.name"), deployment, nil, []string{
			"new.yaml:8 Warn peer-no-namespace CREATE NetworkPolicy shop/scrape"}},
		{"unchanged is not judged", denyEgress + deployment, deployment + denyEgress, nil, nil},
		{"a new template behind a wall", deployment, database + denyEgress, nil, []string{"new.yaml:5 Warn dns-cut CREATE Deployment shop/api +fix"}},
		{"an update", strings.Replace(toDatabase, "[Egress]", "[Ingress]", 1), deployment + database + toDatabase, nil, []string{
			"new.yaml:6 Warn metadata-open UPDATE NetworkPolicy shop/api", "new.yaml:7 Deny isolation-lost UPDATE NetworkPolicy shop/api +fix",
			"new.yaml:7 Deny isolation-side-effect UPDATE NetworkPolicy shop/api +fix", "new.yaml:7 Deny rules-ignored UPDATE NetworkPolicy shop/api +fix"}},
		{"a rollout out of a wall", relabelled, deployment + denyIngress, nil, []string{
			"new.yaml:5 Deny isolation-lost UPDATE Deployment shop/api +fix", "new.yaml:5 Deny label-drops-policy UPDATE Deployment shop/api +fix"}},
		{"a rollout of what does not run", strings.Replace(idle, "app: api", "app: web", 1), idle + denyIngress, nil, []string{
			"new.yaml:5 Warn isolation-lost UPDATE Deployment shop/api +fix", "new.yaml:5 Warn label-drops-policy UPDATE Deployment shop/api +fix"}},
		{"labels and selector renamed together", relabelled + strings.Replace(denyIngress, "app: api", "app: web", 1), deployment + denyIngress, nil, nil},
		{"left out without prune", deployment, deployment + denyEgress + allowDNS, nil, nil},
		{"deleted", deployment + denyEgress, deployment + denyEgress + allowDNS, func(in *lint.Input) { in.Prune = true }, []string{
			"old.yaml:12 Deny dns-cut DELETE NetworkPolicy shop/z-dns +fix"}},
		{"deleted with all that it concerns", database, deployment + denyIngress, func(in *lint.Input) { in.Prune = true }, nil},
		{"replaced: the new one is applied first", deployment + strings.Replace(denyIngress, "name: wall", "name: bulwark", 1), deployment + denyIngress,
			func(in *lint.Input) { in.Prune = true }, nil},
		{"off", deployment + denyEgress, "", func(in *lint.Input) { in.Config = settings(t, "guardrails: {dns-cut: {action: Off}}\n") }, nil},
		{"audited, which nobody sees", deployment + denyEgress, "", func(in *lint.Input) { in.Config = settings(t, "guardrails: {dns-cut: {action: Audit}}\n") }, nil},
		{"exempt", deployment + denyEgress, "", func(in *lint.Input) { in.Config = settings(t, "exempt: {namespaces: [shop]}\n") }, nil},
		{"a live cluster without DNS", deployment + denyEgress, database, func(in *lint.Input) { in.Live = true }, nil},
		{"no live pod needed", strings.Replace(ignored, "app: api", "app: none", 1) + database, "", nil, []string{
			"new.yaml:6 Warn selector-no-pods CREATE NetworkPolicy shop/api", "new.yaml:7 Deny rules-ignored CREATE NetworkPolicy shop/api +fix"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(t, tt.manifests, tt.against)
			if tt.edit != nil {
				tt.edit(in)
			}
			r := lint.Run(t.Context(), in)
			if diff := cmp.Diff(tt.want, said(r)); diff != "" || len(r.Partial) > 0 {
				t.Errorf("(-want +got):\n%s%s", diff, r.Partial)
			}
		})
	}
}

func TestNamespaceLabels(t *testing.T) {
	const namespaces = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: front%s}\n"
	const web = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: front, labels: {app: web}}\n"
	const wall = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wall}\nspec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {side: front}}}]}]}\n"
	old := fmt.Sprintf(namespaces, ", labels: {side: front}") + web + wall + deployment
	r := lint.Run(t.Context(), input(t, fmt.Sprintf(namespaces, ""), old))
	if diff := cmp.Diff([]string{"new.yaml:8 Warn ns-label-impact UPDATE Namespace front"}, said(r)); diff != "" && !strings.Contains(diff, "+fix") {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := lint.Run(t.Context(), input(t, fmt.Sprintf(namespaces, ", labels: {side: front}"), old)); len(r.Findings) > 0 || len(r.Judged) > 0 {
		t.Errorf("labels that stay: %q", said(r))
	}
}

func TestFingerprints(t *testing.T) {
	prints := func(text, against string) (out []string) {
		r := lint.Run(t.Context(), input(t, text, against))
		for i := range r.Findings {
			out = append(out, r.Findings[i].Fingerprint)
		}
		return out
	}
	text := deployment + denyEgress
	want := prints(text, "")
	if len(want) != 1 || len(want[0]) != 32 {
		t.Fatalf("%q, want one of 32 digits", want)
	}
	if diff := cmp.Diff(want, prints("# moved\n\n"+strings.Replace(text, "{podSelector: {}", "{podSelector:   {}", 1), "")); diff != "" {
		t.Errorf("moved by two lines (-want +got):\n%s", diff)
	}
	if other := prints(deployment+strings.Replace(denyEgress, "a-deny", "b-deny", 1), ""); len(other) != 1 || other[0] == want[0] {
		t.Errorf("another object has the fingerprint %q of the first", other)
	}
	// A guardrail may find two things in one field.
	in := input(t, deployment+denyEgress, "")
	in.Guardrails = []policy.Guardrail{{Slug: "dns-cut", On: []policy.Trigger{policy.PolicyWrite}, DefaultAction: config.Deny,
		Check: func(*policy.Change, any) []policy.Violation {
			return []policy.Violation{{Field: "spec", Detail: "a"}, {Field: "spec", Detail: "b"}}
		}}}
	r := lint.Run(t.Context(), in)
	if len(r.Findings) != 2 || r.Findings[0].Fingerprint == r.Findings[1].Fingerprint {
		t.Errorf("two findings in one field: %+v", r.Findings)
	}
}

func TestBaseline(t *testing.T) {
	in := input(t, deployment+denyEgress+fmt.Sprintf(fromOutside, "name"), "")
	r := lint.Run(t.Context(), in)
	if len(r.Findings) != 2 {
		t.Fatalf("%q, want two", said(r))
	}
	file := lint.Baseline(r.All)
	if again := lint.Baseline(slices.Concat([]lint.Finding{r.All[1], r.All[0]}, r.All)); !bytes.Equal(file, again) {
		t.Errorf("another order gives another file:\n%s\n%s", file, again)
	}
	var err error
	if in.Accepted, err = lint.ParseBaseline(file); err != nil {
		t.Fatal(err)
	}
	if r := lint.Run(t.Context(), in); len(r.Findings) != 0 || r.Accepted != 2 || len(r.All) != 2 {
		t.Errorf("%q, %d accepted of %d", said(r), r.Accepted, len(r.All))
	}
	for name, text := range map[string]string{
		"nothing": "", "no baseline": "[]", "an unknown field": `{"version":1,"accept":[]}`, "another version": `{"version":2,"accepted":[]}`, "two": `{"version":1,"accepted":[]}{}`,
	} {
		if _, err := lint.ParseBaseline([]byte(text)); err == nil || !strings.Contains(err.Error(), "--write-baseline") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("too slow"))
	r := lint.Run(ctx, input(t, deployment+denyEgress, ""))
	if diff := cmp.Diff([]string{"stopped after 0 of 2 objects: too slow"}, r.Partial); diff != "" || len(r.Findings) > 0 {
		t.Errorf("(-want +got):\n%s%q", diff, said(r))
	}
}

func TestGuardrailThatPanics(t *testing.T) {
	in := input(t, denyEgress, "")
	in.Guardrails = []policy.Guardrail{{Slug: "dns-cut", On: []policy.Trigger{policy.PolicyWrite}, DefaultAction: config.Deny,
		Check: func(*policy.Change, any) []policy.Violation { panic("oh") }}}
	r := lint.Run(t.Context(), in)
	if diff := cmp.Diff([]string{"dns-cut could not be evaluated on NetworkPolicy shop/a-deny: panic: oh"}, r.Partial); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if env := os.Getenv("BULKHEAD_SEED"); env != "" {
		var err error
		if seed, err = strconv.ParseUint(env, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("BULKHEAD_SEED=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// randomPolicies makes a few policies of the namespace shop about pods, DNS and directions.
func randomPolicies(rng *rand.Rand, n int) []string {
	subjects := []string{"{}", "{}", "{matchLabels: {app: api}}", "{matchLabels: {app: api}}", "{matchLabels: {app: db}}", "{matchLabels: {app: apii}}"}
	types := []string{"[Egress]", "[Egress]", "[Ingress]", "[Ingress, Egress]"}
	rules := []string{
		"", "", ", egress: [{}]", ", ingress: [{}]", ", egress: [{to: [{podSelector: {}}]}]",
		", egress: [{ports: [{protocol: UDP, port: 53}, {port: 53}]}]", ", egress: [{ports: [{protocol: UDP, port: 53}]}]",
		", egress: [{ports: [{protocol: UDP, port: 53}, {port: 53}]}]",
	}
	pick := func(of []string) string { return of[rng.IntN(len(of))] }
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p%d}\nspec: {podSelector: %s, policyTypes: %s%s}\n",
			i, pick(subjects), pick(types), pick(rules)))
	}
	return out
}

// TestOrderDoesNotMatter: the same manifests in any order give the same report, byte for byte.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := random(t)
	for range 20 {
		documents := slices.Concat([]string{deployment, database}, randomPolicies(rng, 5))
		in := input(t, strings.Join(documents, ""), "")
		in.Base, in.Alone = read(t, "old.yaml", strings.Join(randomPolicies(rng, 3), "")+deployment), rng.IntN(2) == 0
		in.Prune = rng.IntN(2) == 0
		write := func() string {
			var b bytes.Buffer
			for _, format := range []func() error{
				func() error { return render.Text(&b, lint.Run(t.Context(), in), render.Options{}) },
				func() error { return render.JSON(&b, lint.Run(t.Context(), in), render.Options{}) },
			} {
				if err := format(); err != nil {
					t.Fatal(err)
				}
			}
			return b.String()
		}
		want := write()
		rng.Shuffle(len(in.Objects), func(i, j int) { in.Objects[i], in.Objects[j] = in.Objects[j], in.Objects[i] })
		rng.Shuffle(len(in.Base), func(i, j int) { in.Base[i], in.Base[j] = in.Base[j], in.Base[i] })
		if diff := cmp.Diff(want, write()); diff != "" {
			t.Fatalf("%s\n(-want +got):\n%s", strings.Join(documents, ""), diff)
		}
	}
}

// TestClusterOnce: what is wrong with the cluster is said once, and with none of the orders of the policies.
func TestClusterOnce(t *testing.T) {
	flannel := "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {namespace: kube-flannel, name: kube-flannel-ds}\nspec:\n  template:\n" +
		"    spec: {containers: [{name: kube-flannel, image: 'example.com/flannel:v0.26.1'}]}\n"
	proxy := strings.NewReplacer("kube-flannel-ds", "kube-proxy", "kube-flannel", "kube-system", "example.com/flannel", "x").Replace(flannel)
	for _, c := range []struct {
		name, config, against string
		live                  bool
		want                  []string
	}{
		{"by default it is for the audit log", "", flannel, true, nil},
		{"as a warning", "guardrails: {cni-inert: {action: Warn}}", flannel, true, []string{"new.yaml:2 Warn cni-inert CREATE NetworkPolicy shop/a-deny"}},
		{"with an enforcing plugin", "guardrails: {cni-inert: {action: Warn}}\nnetwork: {plugin: calico}", flannel, true, nil},
		{"no plugin in a live cluster", "guardrails: {cni-inert: {action: Warn}}", proxy, true, []string{"new.yaml:2 Warn cni-inert CREATE NetworkPolicy shop/a-deny"}},
		{"no plugin in other manifests", "guardrails: {cni-inert: {action: Warn}}", proxy, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(t, denyEgress+strings.Replace(denyIngress, "{name: wall}", "{namespace: web, name: wall}", 1)+denyIngress, c.against)
			in.Live = c.live
			in.Config = settings(t, c.config)
			in.Guardrails = slices.DeleteFunc(guardrails.All(), func(g policy.Guardrail) bool { return g.Slug != "cni-inert" })
			r := lint.Run(context.Background(), in)
			if diff := cmp.Diff(c.want, said(r)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if len(r.Judged) != 3 {
				t.Errorf("%d objects were judged, want 3", len(r.Judged))
			}
		})
	}
}
