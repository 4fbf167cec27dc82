package guardrails

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func TestMistyped(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"apii", "api", true},
		{"api", "apii", true},
		{"API", "api", true},
		{"bakend", "backend", true},
		{"backned", "backend", true},
		{"api", "web", false},
		{"db", "dc", false}, // too short to tell
		{"v1", "v2", false}, // siblings
		{"shard-1", "shard-12", false},
		{"prom", "prometheus", false},
		{"", "api", false},
	} {
		if _, got := mistyped(test.a, test.b); got != test.want {
			t.Errorf("mistyped(%q, %q) = %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

func in(key string, values ...string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}
}

func TestGuess(t *testing.T) {
	pods := func(n int, l labels.Set) labelled { return labelled{labels: l, pods: n} }
	match := func(l map[string]string) metav1.LabelSelector { return metav1.LabelSelector{MatchLabels: l} }
	for name, test := range map[string]struct {
		selector   metav1.LabelSelector
		candidates []labelled
		words      string
		corrected  *metav1.LabelSelector
	}{
		"nothing near": {
			match(labels.Set{"app": "api"}), []labelled{pods(2, labels.Set{"app": "web"})}, "", nil,
		},
		"a value, of several workloads": {
			match(labels.Set{"app": "apii"}),
			[]labelled{pods(2, labels.Set{"app": "api", "version": "v1"}), pods(1, labels.Set{"app": "api", "version": "v2"})},
			"; did you mean app=api (3 pods)?", &metav1.LabelSelector{MatchLabels: labels.Set{"app": "api"}},
		},
		"the value nearest first, and no correction where two are near": {
			match(labels.Set{"app": "frontend"}),
			[]labelled{pods(9, labels.Set{"app": "frontent-x"}), pods(1, labels.Set{"app": "frontends"})},
			"; did you mean app=frontends (1 pod)?", nil,
		},
		"the key under which the value is": {
			match(labels.Set{"app": "api", "env": "prod"}), []labelled{pods(2, labels.Set{"k8s-app": "api", "env": "prod"})},
			"; did you mean k8s-app=api instead of app (2 pods)?", &metav1.LabelSelector{MatchLabels: labels.Set{"k8s-app": "api", "env": "prod"}},
		},
		"a key that means something else does not become the value's": {
			match(labels.Set{"expose": "true"}), []labelled{pods(2, labels.Set{"debug": "true"})}, "", nil,
		},
		"two slips at once are not guessed": {
			match(labels.Set{"app": "apii", "tier": "bakend"}), []labelled{pods(2, labels.Set{"app": "api", "tier": "backend"})}, "", nil,
		},
		"the requirement that is in the way": {
			metav1.LabelSelector{MatchLabels: labels.Set{"app": "api"}, MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"backend"}},
			}},
			[]labelled{pods(2, labels.Set{"app": "api", "tier": "backend"})},
			"; without tier notin (backend) it matches 2 pods", nil,
		},
		"several requirements are in the way": {
			match(labels.Set{"app": "api", "env": "prod"}),
			[]labelled{pods(2, labels.Set{"app": "api"}), pods(2, labels.Set{"env": "prod"})}, "", nil,
		},
		"one of an expression's values": {
			metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{in("app", "apii", "jobs-runner")}},
			[]labelled{pods(1, labels.Set{"app": "api"})}, "; did you mean app=api (1 pod)?",
			&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{in("app", "api", "jobs-runner")}},
		},
		"a key that has to exist": {
			metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "exposd", Operator: metav1.LabelSelectorOpExists}}},
			[]labelled{{labels: labels.Set{"expose": "yes"}, template: true}}, "; did you mean expose (1 template)?",
			&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "expose", Operator: metav1.LabelSelectorOpExists}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			selector, err := netpol.CompileSelector(test.selector)
			if err != nil {
				t.Fatal(err)
			}
			before := *test.selector.DeepCopy()
			words, corrected := guess(selector, test.candidates)
			if words != test.words {
				t.Errorf("got  %q\nwant %q", words, test.words)
			}
			if diff := cmp.Diff(test.corrected, corrected); diff != "" {
				t.Errorf("corrected selector (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.selector); diff != "" {
				t.Errorf("the selector itself was changed:\n%s", diff)
			}
		})
	}
}

func TestFinderKnowsLabelsThatTemplatesLack(t *testing.T) {
	template := &cluster.Workload{Kind: "StatefulSet", Name: "db", Labels: labels.Set{"app": "db"}, Template: true}
	pods := &cluster.Workload{Kind: "StatefulSet", Name: "db", Labels: labels.Set{"app": "db"}, Pods: 2}
	const podName = "statefulset.kubernetes.io/pod-name"
	for _, test := range []struct {
		labels             labels.Set
		inTemplate, inPods bool
	}{
		{labels.Set{"app": "db"}, true, true},
		{labels.Set{podName: "db-7"}, true, false},
		{labels.Set{podName: "cache-0"}, false, false},
		{labels.Set{podName: "db-7", "app": "cache"}, false, false},
		{labels.Set{"controller-revision-hash": "db-5f6"}, true, false},
		{labels.Set{"app": "cache"}, false, false},
	} {
		selector, err := netpol.CompileSelector(metav1.LabelSelector{MatchLabels: test.labels})
		if err != nil {
			t.Fatal(err)
		}
		f := find(selector)
		if f.finds(template) != test.inTemplate || f.finds(pods) != test.inPods {
			t.Errorf("%s: finds template %v, pods %v; want %v, %v", selector, f.finds(template), f.finds(pods), test.inTemplate, test.inPods)
		}
	}
}
