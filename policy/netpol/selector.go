package netpol

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Selector is a compiled label selector. Matching is apimachinery's alone: metav1.LabelSelectorAsSelector gives NotIn
// and DoesNotExist the meaning that the API documents (an absent key matches).
type Selector struct {
	sel    labels.Selector
	source metav1.LabelSelector
}

// CompileSelector compiles s. It fails for an unknown operator or a key or value that is no label's.
func CompileSelector(s metav1.LabelSelector) (Selector, error) {
	sel, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil {
		return Selector{}, err
	}
	return Selector{sel: sel, source: s}, nil
}

// Matches reports whether l satisfies the selector.
func (s Selector) Matches(l labels.Set) bool { return s.sel != nil && s.sel.Matches(l) }

// Everything reports whether the selector is empty, which selects all objects.
func (s Selector) Everything() bool {
	return len(s.source.MatchLabels) == 0 && len(s.source.MatchExpressions) == 0
}

// Source gives the selector as it was written. It must not be changed.
func (s Selector) Source() metav1.LabelSelector { return s.source }

// String gives the selector as kubectl prints it: "app=web,tier in (a,b)", "<none>" for an empty one.
func (s Selector) String() string {
	if s.Everything() {
		return "<none>"
	}
	return s.sel.String() // what metav1.FormatLabelSelector does too, but it compiles the selector once more
}

// Requirements lists what the selector demands of labels, sorted by key; all of it has to hold. They must not be changed.
func (s Selector) Requirements() labels.Requirements {
	if s.sel == nil {
		return nil
	}
	reqs, _ := s.sel.Requirements()
	return reqs
}

// maxBrief bounds the values of a requirement, and the requirements, that Brief writes.
const maxBrief = 3

// Brief gives the selector for a message: as String does, but of many values or requirements the first ones and how many more
// there are, as in "tier in (a,b,c,+9)".
func (s Selector) Brief() string {
	if s.sel == nil {
		return s.String()
	}
	requirements, _ := s.sel.Requirements()
	if len(requirements) == 0 {
		return s.String()
	}
	words := make([]string, 0, len(requirements))
	for i := range requirements {
		words = append(words, briefRequirement(&requirements[i]))
	}
	return strings.Join(firstOf(words), ",")
}

func briefRequirement(r *labels.Requirement) string {
	if len(r.ValuesUnsorted()) <= maxBrief {
		return r.String()
	}
	values := slices.Sorted(slices.Values(r.ValuesUnsorted()))
	return fmt.Sprintf("%s %s (%s)", r.Key(), r.Operator(), strings.Join(firstOf(values), ","))
}

// firstOf gives the first of the words, and how many more there are as the last one.
func firstOf(words []string) []string {
	if n := len(words) - maxBrief; n > 0 {
		return append(words[:maxBrief:maxBrief], fmt.Sprintf("+%d", n))
	}
	return words
}

// Keys lists the label keys that the selector reads, sorted, each once.
func (s Selector) Keys() []string {
	keys := make([]string, 0, len(s.source.MatchLabels)+len(s.source.MatchExpressions))
	for k := range s.source.MatchLabels {
		keys = append(keys, k)
	}
	for _, e := range s.source.MatchExpressions {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Exact reports the one value that the selector demands of key, where it demands one: a lookup can then replace a scan.
func (s Selector) Exact(key string) (string, bool) {
	if v, ok := s.source.MatchLabels[key]; ok {
		return v, true
	}
	for _, e := range s.source.MatchExpressions {
		if e.Key == key && e.Operator == metav1.LabelSelectorOpIn && len(e.Values) == 1 {
			return e.Values[0], true
		}
	}
	return "", false
}
