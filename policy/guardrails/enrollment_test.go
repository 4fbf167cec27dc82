package guardrails

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestEnrollmentValidate(t *testing.T) {
	in := networkingv1.PolicyTypeIngress
	for _, test := range []struct {
		name string
		e    enrollment
		want string
	}{
		{"the default", defaultEnrollment(), ""},
		{"no label", enrollment{Directions: map[string][]networkingv1.PolicyType{"a": {in}}}, "enrolled.label"},
		{"no key", enrollment{Label: "a b"}, "enrolled.label"},
		{"no value", enrollment{Label: "a", Directions: map[string][]networkingv1.PolicyType{"a b": {in}}}, "enrolled.directions[a b]"},
		{"no direction", enrollment{Label: "a", Directions: map[string][]networkingv1.PolicyType{"b": nil}}, "enrolled.directions[b]"},
		{"unknown direction", enrollment{Label: "a", Directions: map[string][]networkingv1.PolicyType{"b": {"ingress"}}}, "enrolled.directions[b][0]"},
		{"twice", enrollment{Label: "a", Directions: map[string][]networkingv1.PolicyType{"b": {in, in}}}, "enrolled.directions[b][1]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			for _, err := range test.e.Validate(field.NewPath("enrolled")) {
				got = err.Field
			}
			if got != test.want {
				t.Errorf("complains about %q, want %q", got, test.want)
			}
		})
	}
}
