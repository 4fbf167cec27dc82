package guardrails

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// labelled is something that a selector may have meant: a workload, or a namespace.
type labelled struct {
	labels   labels.Set
	pods     int
	template bool
}

func labelledWorkload(w *cluster.Workload) labelled {
	return labelled{labels: w.Labels, pods: w.Pods, template: w.Template}
}

// suggestion is a label that one requirement of a selector may have meant. With it the whole selector matches.
type suggestion struct {
	wrong labels.Requirement
	alone bool // the selector has no other requirement
	// written is the value that value stands in for.
	written, key, value string
	distance            int
	pods, templates     int
}

// demands lists the requirements of a selector in an order that depends on nothing but them.
func demands(s netpol.Selector) []labels.Requirement {
	reqs := s.Requirements()
	if len(reqs) < 2 {
		return slices.Clone(reqs)
	}
	return slices.SortedFunc(slices.Values(reqs), func(a, b labels.Requirement) int { return strings.Compare(a.String(), b.String()) })
}

// nearest looks for what the selector, which matches none of the candidates, may have meant: those that fail one
// single requirement, and carry a label that looks like it. single says that there is just one such label. rest says
// which requirement alone keeps candidates from matching, where it is the same one for all of them.
func nearest(s netpol.Selector, candidates []labelled) (best *suggestion, single bool, rest *suggestion) {
	reqs := demands(s)
	found := map[[3]string]*suggestion{}
	blocked := map[int]*suggestion{}
	for _, c := range candidates {
		i := onlyFailing(reqs, c.labels)
		if i < 0 {
			continue
		}
		if blocked[i] == nil {
			blocked[i] = &suggestion{wrong: reqs[i]}
		}
		blocked[i].count(c)
		for k, v := range c.labels {
			written, distance, ok := meant(reqs[i], k, v)
			if !ok {
				continue
			}
			at := [3]string{reqs[i].String(), k, v}
			if found[at] == nil {
				found[at] = &suggestion{wrong: reqs[i], alone: len(reqs) == 1, written: written, key: k, value: v, distance: distance}
			}
			found[at].count(c)
		}
	}
	if len(found) > 0 {
		best = slices.MinFunc(slices.Collect(maps.Values(found)), func(a, b *suggestion) int {
			return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(b.pods, a.pods), strings.Compare(a.key, b.key),
				strings.Compare(a.value, b.value), strings.Compare(a.wrong.String(), b.wrong.String()))
		})
	}
	if len(blocked) == 1 && len(reqs) > 1 {
		for _, rest = range blocked {
		}
	}
	return best, len(found) == 1, rest
}

// onlyFailing gives the index of the one requirement that l fails, -1 where it fails none or several.
func onlyFailing(reqs []labels.Requirement, l labels.Set) int {
	failing := -1
	for i := range reqs {
		if reqs[i].Matches(l) {
			continue
		}
		if failing >= 0 {
			return -1
		}
		failing = i
	}
	return failing
}

// meant reports whether the label k=v looks like what r demands: the same key with a value that is nearly the same,
// or the same value under a key that people use for the same thing.
func meant(r labels.Requirement, k, v string) (written string, distance int, ok bool) {
	if r.Operator() == selection.Exists {
		distance, ok = sameMeaning(r.Key(), k)
		return "", distance, ok
	}
	if !demandsValue(r) {
		return "", 0, false
	}
	for _, want := range r.ValuesUnsorted() {
		d, near := 0, false
		if k == r.Key() {
			d, near = mistyped(want, v)
		} else if v == want {
			d, near = sameMeaning(r.Key(), k)
		}
		if near && (!ok || d < distance || d == distance && want < written) {
			written, distance, ok = want, d, true
		}
	}
	return written, distance, ok
}

// demandsValue reports whether r wants one of some values.
func demandsValue(r labels.Requirement) bool {
	return r.Operator() == selection.Equals || r.Operator() == selection.In
}

// nameKeys are the label keys under which people write an application's name.
var nameKeys = [...]string{"app", "app.kubernetes.io/name", "k8s-app", "name"}

// sameMeaning reports whether two label keys are likely taken for each other.
func sameMeaning(a, b string) (distance int, ok bool) {
	if slices.Contains(nameKeys[:], a) && slices.Contains(nameKeys[:], b) || a[strings.LastIndex(a, "/")+1:] == b[strings.LastIndex(b, "/")+1:] {
		return 1, true
	}
	return mistyped(a, b)
}

// maxCompared bounds the words that are compared: the distance costs the product of the lengths. Label values have at
// most 63 characters.
const maxCompared = 64

// mistyped reports whether a is likely a slip for b: it differs in case, or in at most a third of its characters.
// Words that differ in digits only, such as shard-1 and shard-2, are siblings and no slip.
func mistyped(a, b string) (distance int, ok bool) {
	longest := max(len(a), len(b))
	if longest > maxCompared || longest-min(len(a), len(b)) > longest/3 {
		return 0, false
	}
	distance = levenshtein.ComputeDistance(strings.ToLower(a), strings.ToLower(b))
	return distance, distance*3 <= longest && withoutDigits(a) != withoutDigits(b)
}

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, s)
}

func (s *suggestion) count(c labelled) {
	s.pods += c.pods
	if c.template {
		s.templates++
	}
}

// hits says what the selector would match: "2 pods", or "1 template" where nothing runs.
func (s *suggestion) hits() string {
	if s.pods == 0 {
		return policy.Plural(s.templates, "template")
	}
	return policy.Plural(s.pods, "pod")
}

// String writes the label, and the key that it stands in for where that is not clear: "k8s-app=api instead of app".
func (s *suggestion) String() string {
	text := s.key
	if s.wrong.Operator() != selection.Exists {
		text += "=" + s.value
	}
	if s.alone || s.key == s.wrong.Key() {
		return text
	}
	return text + " instead of " + s.wrong.Key()
}

// apply gives the selector with the suggestion in it.
func (s *suggestion) apply(selector metav1.LabelSelector) metav1.LabelSelector {
	out := *selector.DeepCopy()
	if v, ok := out.MatchLabels[s.wrong.Key()]; ok && v == s.written && s.wrong.Operator() != selection.In {
		delete(out.MatchLabels, s.wrong.Key())
		out.MatchLabels[s.key] = s.value
		return out
	}
	for i := range out.MatchExpressions {
		e := &out.MatchExpressions[i]
		if e.Key != s.wrong.Key() || len(e.Values) > 0 && !slices.Contains(e.Values, s.written) {
			continue
		}
		e.Key = s.key
		for j := range e.Values {
			if e.Values[j] == s.written {
				e.Values[j] = s.value
			}
		}
	}
	return out
}

// guess says what a selector that matches none of the candidates may have meant, in words that follow the complaint,
// and gives the selector as it should be where there is just one such guess.
func guess(s netpol.Selector, candidates []labelled) (words string, corrected *metav1.LabelSelector) {
	best, single, rest := nearest(s, candidates)
	switch {
	case best != nil:
		words = fmt.Sprintf("; did you mean %s (%s)?", best, best.hits())
	case rest != nil:
		words = fmt.Sprintf("; without %s it matches %s", rest.wrong.String(), rest.hits())
	}
	if best != nil && single {
		fixed := best.apply(s.Source())
		corrected = &fixed
	}
	return words, corrected
}

// selectorFix writes one selector of the policy anew: the field of the object at that place.
func selectorFix(place, field string, selector *metav1.LabelSelector, instead *networkingv1.NetworkPolicy) *policy.Fix {
	return &policy.Fix{
		Say: "write in " + place + ":", YAML: pasteable.YAML(map[string]*metav1.LabelSelector{field: selector}), Instead: instead,
	}
}
