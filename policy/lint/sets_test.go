package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// setNames lists the sets of manifests, each a folder of what a well-regarded chart or operator installs.
func setNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/sets/*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sets: %v", err)
	}
	var out []string
	for _, f := range files {
		out = append(out, filepath.Base(filepath.Dir(f)))
	}
	return slices.Compact(out) // Glob sorts
}

// readSet reads the manifests of a set; groups are the API groups of the custom resources among them.
func readSet(t *testing.T, name string) (objects []manifest.Object, groups []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata/sets", name, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", name, err)
	}
	r := &manifest.Reader{KeepText: true}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r.Add(file, data)
	}
	if objects, err = r.Objects(); err != nil {
		t.Fatal(err)
	}
	return objects, r.Groups()
}

// clusterDNS is what a cluster has that installs CoreDNS as most do. Charts are linted with it and without it.
const clusterDNS = "apiVersion: v1\nkind: Service\nmetadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}\n" +
	"spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, protocol: TCP, port: 53}]}\n" +
	"---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: coredns, namespace: kube-system}\n" +
	"spec: {replicas: 2, template: {metadata: {labels: {k8s-app: kube-dns}}, spec: {dnsPolicy: Default, containers: [{name: coredns, ports: " +
	"[{name: dns, protocol: UDP, containerPort: 53}, {name: dns-tcp, containerPort: 53}]}]}}}\n"

// withDNS adds the cluster's DNS to manifests that have none of their own.
func withDNS(t *testing.T, objects []manifest.Object) []manifest.Object {
	t.Helper()
	if manifest.Build(manifest.Running(objects), cluster.Options{}).Resolver().Known() {
		return objects
	}
	return slices.Concat(objects, read(t, "dns.yaml", clusterDNS))
}

// warning is one row of testdata/sets/warnings.md: what is said about a set, and an expert would want to read.
type warning struct {
	set, guardrail, object string
	times                  string
}

// justified reads the table of the warnings that are justified.
func justified(t *testing.T) map[warning]bool {
	t.Helper()
	data, err := os.ReadFile("testdata/sets/warnings.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[warning]bool{}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| set ") {
			continue
		}
		if len(cells) != 5 || len(cells[4]) < 30 {
			t.Fatalf("a row has set, guardrail, object, times and a reason: %s", line)
		}
		w := warning{strings.TrimPrefix(cells[0], "| "), cells[1], cells[2], cells[3]}
		if out[w] {
			t.Errorf("two rows for %+v", w)
		}
		exists(t, w.guardrail)
		out[w] = true
	}
	return out
}

// warned counts what a report says of a set.
func warned(set string, r *lint.Report) map[warning]bool {
	times := map[warning]int{}
	for i := range r.Findings {
		times[warning{set: set, guardrail: r.Findings[i].Guardrail, object: r.Findings[i].Object.String()}]++
	}
	out := map[warning]bool{}
	for w, n := range times {
		w.times = fmt.Sprint(n)
		out[w] = true
	}
	return out
}

// TestSets: what well-regarded charts and operators install is not refused, and what is said about it is worth reading.
func TestSets(t *testing.T) {
	table := justified(t)
	sets := setNames(t)
	for w := range table {
		if !slices.Contains(sets, w.set) {
			t.Errorf("there is no set %q", w.set)
		}
	}
	for _, name := range sets {
		objects, groups := readSet(t, name)
		want := map[warning]bool{}
		for w := range table {
			if w.set == name {
				want[w] = true
			}
		}
		for _, tt := range []struct {
			name    string
			objects []manifest.Object
		}{{"alone", objects}, {"with the cluster's DNS", withDNS(t, objects)}} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				r := lint.Run(t.Context(), &lint.Input{Objects: tt.objects, Groups: groups, Config: settings(t, ""), Guardrails: guardrails.All(), Alone: true})
				refused(t, r)
				if diff := cmp.Diff(want, warned(name, r), cmp.AllowUnexported(warning{})); diff != "" {
					t.Errorf("testdata/sets/warnings.md (-want +got):\n%s%s", diff, strings.Join(told(r), "\n"))
				}
			})
		}
		t.Run(name+" onto its running workloads", func(t *testing.T) {
			var base []manifest.Object
			for _, o := range withDNS(t, objects) {
				if o.NetworkPolicy() == nil {
					base = append(base, o)
				}
			}
			refused(t, lint.Run(t.Context(), &lint.Input{Objects: objects, Groups: groups, Base: base, Config: settings(t, ""), Guardrails: guardrails.All()}))
		})
	}
}

// refused fails for each finding that denies.
func refused(t *testing.T, r *lint.Report) {
	t.Helper()
	for _, line := range told(r) {
		if strings.HasPrefix(line, string(config.Deny)) {
			t.Error(line)
		}
	}
	if len(r.Partial) > 0 {
		t.Errorf("not judged to the end: %q", r.Partial)
	}
}

// TestSetsWithoutDNS: a set that opens DNS in a policy of its own is refused without that policy, so that a clean set means
// something.
func TestSetsWithoutDNS(t *testing.T) {
	tried := 0
	for _, name := range setNames(t) {
		objects, groups := readSet(t, name)
		left := slices.DeleteFunc(slices.Clone(objects), func(o manifest.Object) bool {
			return o.NetworkPolicy() != nil && strings.HasPrefix(o.Name, "allow-dns")
		})
		if len(left) == len(objects) {
			continue
		}
		tried++
		r := lint.Run(t.Context(), &lint.Input{Objects: left, Groups: groups, Config: settings(t, ""), Guardrails: guardrails.All(), Alone: true})
		if !slices.ContainsFunc(told(r), func(s string) bool { return strings.HasPrefix(s, "Deny dns-cut NetworkPolicy ") }) {
			t.Errorf("%s without its policy for DNS: %q", name, told(r))
		}
	}
	if tried < 5 {
		t.Errorf("%d sets have a policy for DNS", tried)
	}
}
