package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Violation is one place where a change breaks a guardrail.
type Violation struct {
	// Field is the path into the reviewed object, such as "spec.egress[0].to[0].podSelector". It is empty where a
	// deletion leaves no object to point into.
	Field string
	// Headline says the effect in a few words for the first line of a denial: "3 live pods would lose DNS". Empty
	// means Detail.
	Headline string
	// Detail is the whole finding in one line, at most 120 characters where possible. It names the place, the
	// offending value and the pods hit, and is what a warning says.
	Detail string
	// Reason is what a denial prints after Field. Empty means Detail.
	Reason string
	// Live says that live pods get worse.
	Live bool
	// Affected are the workloads hit, live ones first.
	Affected []Affected
	// Fix is a smallest change that makes the guardrail pass; nil where none is known. It is tried before it is shown.
	Fix *Fix
}

// Affected is one workload that a violation hits.
type Affected struct {
	// Name is the workload's for people: "api", or "deployment/api" for a template.
	Name string
	// Pods counts live pods; 0 for a template.
	Pods int
}

// Fix is a change that makes a violation go away.
type Fix struct {
	// Say leads in to YAML: "apply this policy first:".
	Say string
	// YAML to paste. It may be empty where Say says it all.
	YAML string
	// First are policies to apply before the change. They are how the fix is tried.
	First []*networkingv1.NetworkPolicy
	// Instead is the corrected policy, or nil. It is how the fix is tried.
	Instead *networkingv1.NetworkPolicy
	// Labels are the pod's, the pod template's or the Namespace's corrected labels, or nil. They are how the fix is tried.
	Labels labels.Set
}

// Affect lists the workloads, live ones first, merged by name and sorted.
func Affect(workloads []*cluster.Workload) []Affected {
	pods := map[string]int{}
	for _, w := range workloads {
		name := w.Name
		if w.Template {
			name = strings.ToLower(w.Kind) + "/" + w.Name
		}
		pods[name] += w.Pods
	}
	out := make([]Affected, 0, len(pods))
	for name, n := range pods {
		out = append(out, Affected{Name: name, Pods: n})
	}
	slices.SortFunc(out, func(a, b Affected) int {
		if (a.Pods > 0) != (b.Pods > 0) {
			return cmp.Compare(b.Pods, a.Pods)
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}

// maxNames bounds how many workloads one line names.
const maxNames = 2

// Count says how many pods the workloads are, in words that fit before a verb: "3 live pods (app=api)", or "pods of
// 2 templates (app=api, app=web)" where nothing runs.
func Count(workloads []*cluster.Workload) string {
	live, templates := 0, 0
	for _, w := range workloads {
		if w.Template {
			templates++
		} else {
			live += w.Pods
		}
	}
	names := Names(workloads)
	switch {
	case live > 0:
		return fmt.Sprintf("%s (%s)", Plural(live, "live pod"), names)
	case templates > 0:
		return fmt.Sprintf("pods of %s (%s)", Plural(templates, "template"), names)
	}
	return "pods (" + names + ")"
}

// Names lists the labels by which people know the workloads: "app=api, app=web, +3".
func Names(workloads []*cluster.Workload) string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.Label())
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxNames {
		names = append(names[:maxNames:maxNames], fmt.Sprintf("+%d", len(names)-maxNames))
	}
	return strings.Join(names, ", ")
}

// LivePods counts the live pods of the workloads.
func LivePods(workloads []*cluster.Workload) int {
	n := 0
	for _, w := range workloads {
		if !w.Template {
			n += w.Pods
		}
	}
	return n
}

// Plural writes a count with its noun: "1 pod", "2 pods", "2 policies".
func Plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
