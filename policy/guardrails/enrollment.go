package guardrails

import (
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// enrollment says which namespaces require that their pods are isolated, by a label of the Namespace.
type enrollment struct {
	// Label is the key of the Namespace label that enrolls a namespace.
	Label string `json:"label"`
	// Directions are by the label's value the directions in which pods have to be isolated: Ingress, Egress. Other values
	// enroll nothing.
	Directions map[string][]networkingv1.PolicyType `json:"directions"`
}

// defaultEnrollment is the label that namespaces carry unless the config says otherwise.
func defaultEnrollment() enrollment {
	in, out := networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	return enrollment{
		Label:      "bulkhead.dev/default-deny",
		Directions: map[string][]networkingv1.PolicyType{"required": {in, out}, "ingress": {in}, "egress": {out}},
	}
}

// Validate reports a key or a value that is no label's, and directions that there are not.
func (e *enrollment) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if problems := validation.IsQualifiedName(e.Label); len(problems) > 0 {
		errs = append(errs, field.Invalid(at.Child("label"), e.Label, "a label key: "+problems[0]))
	}
	for _, value := range slices.Sorted(maps.Keys(e.Directions)) {
		here := at.Child("directions").Key(value)
		for _, problem := range validation.IsValidLabelValue(value) {
			errs = append(errs, field.Invalid(here, value, "a label value: "+problem))
		}
		if len(e.Directions[value]) == 0 {
			errs = append(errs, field.Required(here, "name Ingress, Egress or both"))
		}
		for i, d := range e.Directions[value] {
			switch {
			case d != networkingv1.PolicyTypeIngress && d != networkingv1.PolicyTypeEgress:
				errs = append(errs, field.NotSupported(here.Index(i), d, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}))
			case slices.Contains(e.Directions[value][:i], d):
				errs = append(errs, field.Duplicate(here.Index(i), d))
			}
		}
	}
	return errs
}

// required lists the directions in which pods of the change's namespace have to be isolated; none where it is not enrolled.
func (e *enrollment) required(c *policy.Change) []netpol.Direction {
	value, labelled := c.After.NamespaceLabels(c.Namespace)[e.Label]
	if !labelled {
		return nil
	}
	var out []netpol.Direction
	for _, d := range netpol.Directions {
		if slices.Contains(e.Directions[value], networkingv1.PolicyType(d.String())) {
			out = append(out, d)
		}
	}
	return out
}

// apiDirections writes directions as policyTypes does: "Ingress and Egress".
func apiDirections(directions []netpol.Direction) string {
	var words []string
	for _, d := range directions {
		words = append(words, d.String())
	}
	return strings.Join(words, " and ")
}

// typesOf gives the directions as the API has them.
func typesOf(directions []netpol.Direction) []networkingv1.PolicyType {
	out := make([]networkingv1.PolicyType, 0, len(directions))
	for _, d := range directions {
		out = append(out, networkingv1.PolicyType(d.String()))
	}
	return out
}

// those says whom the change is about: "this pod", or "these pods" for a template.
func those(c *policy.Change) string {
	if c.Trigger == policy.PodWrite {
		return "this pod"
	}
	return "these pods"
}
