package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dump writes all that a snapshot shows, so that two snapshots are equal if and only if their dumps are.
func dump(s *Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "stats %+v\nforeign keys %s\n", s.Stats(), keyList(s.foreignKeys))
	b.WriteString(dumpContents(s))
	for n := range s.All() {
		fmt.Fprintf(&b, "namespace %s keys %s\n", n.Name, keyList(union(n.ownKeys, s.foreignKeys)))
		for _, w := range s.Live(n) {
			fmt.Fprintf(&b, "  live %s\n", dumpWorkload(w))
		}
		for _, w := range s.Candidates(n) {
			fmt.Fprintf(&b, "  candidate %s\n", dumpWorkload(w))
		}
	}
	r := s.Resolver()
	for _, x := range r.Backends {
		fmt.Fprintf(&b, "backend %v UDP %d TCP %d\n", x.Endpoint, x.UDP, x.TCP)
	}
	return b.String()
}

// dumpContents writes what does not depend on how finely workloads are told apart.
func dumpContents(s *Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "names %v\n", s.names)
	for n := range s.All() {
		fmt.Fprintf(&b, "namespace %s labels %s known %v terminating %v pods %d\n", n.Name, n.Labels, n.Known, n.Terminating, n.pods)
		fmt.Fprintf(&b, "  labels as seen by policies %s\n", s.NamespaceLabels(n.Name))
		for _, p := range s.Policies(n.Name) {
			own, foreign := p.PodKeys()
			fmt.Fprintf(&b, "  policy %s subject %s own %v foreign %v found %v\n", p.Name, p.Subject, own, foreign, s.Policy(n.Name, p.Name) == p)
		}
		for _, x := range n.Services {
			fmt.Fprintf(&b, "  service %+v\n", *x)
		}
		for _, w := range n.Templates {
			fmt.Fprintf(&b, "  template %s\n", dumpWorkload(w))
		}
		for _, w := range splitAll(n.groups, perPodKeys) {
			fmt.Fprintf(&b, "  finest %s\n", dumpWorkload(w))
		}
	}
	for _, sel := range namespaceSelectors() {
		fmt.Fprintf(&b, "selected by %s:", sel)
		for n := range s.SelectNamespaces(sel) {
			fmt.Fprintf(&b, " %s", n.Name)
		}
		b.WriteByte('\n')
	}
	r := *s.Resolver()
	r.Backends = nil
	fmt.Fprintf(&b, "resolver %+v known %v name %s\n", r, s.Resolver().Known(), r.Name())
	fmt.Fprintf(&b, "network %+v\n", *s.Network())
	return b.String()
}

func dumpWorkload(w *Workload) string {
	return fmt.Sprintf("%s %s/%s labels %s ports %v host %v dns %s pods %d template %v", w.Namespace, w.Kind, w.Name, w.Labels, w.Ports,
		w.HostNetwork, w.DNSPolicy, w.Pods, w.Template)
}

func keyList(keys map[string]bool) []string { return slices.Sorted(maps.Keys(keys)) }

func sameKeys(a, b *Snapshot) bool {
	if !maps.Equal(a.foreignKeys, b.foreignKeys) {
		return false
	}
	for n := range a.All() {
		if !maps.Equal(n.ownKeys, b.Namespace(n.Name).ownKeys) {
			return false
		}
	}
	return true
}

func namespaceSelectors() []netpol.Selector {
	var out []netpol.Selector
	for _, s := range []metav1.LabelSelector{
		{},
		{MatchLabels: map[string]string{"team": "red"}},
		{MatchLabels: map[string]string{"team": "red", "env": "prod"}},
		{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "kube-system"}},
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"red"}}}},
		{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: metav1.LabelSelectorOpExists}}},
	} {
		sel, err := netpol.CompileSelector(s)
		if err != nil {
			panic(err)
		}
		out = append(out, sel)
	}
	return out
}
