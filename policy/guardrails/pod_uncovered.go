package guardrails

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// podUncovered: in a namespace that requires isolation a pod or template is written that no policy selects in a direction
// in which it has to be isolated. A policy that comes later in the same sync is not there yet, so this warns unless the
// config says otherwise.
var podUncovered = policy.Guardrail{
	Slug:          "pod-uncovered",
	Summary:       "no policy isolates a pod of a namespace that requires it",
	On:            []policy.Trigger{policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Warn,
	NewParameters: func() any { return &podUncoveredParameters{Enrolled: defaultEnrollment()} },
	Check:         checkPodUncovered,
	Documentation: policy.Documentation{
		Why: `A pod that no policy selects accepts every connection and reaches everything. In a namespace that is meant to deny by
default this happens without a word where the default-deny was never applied, or where policies name their pods one by one.`,
		Judged: `The pods and pod templates written in enrolled namespaces: those with the label ` + "`bulkhead.dev/default-deny`" + `
whose value is ` + "`required`" + `, ` + "`ingress`" + ` or ` + "`egress`" + `; the parameter ` + "`enrolled`" + ` takes another label
and its values. For each required direction at least one policy that names it has to select the pods. Pods and templates that no
policy isolated before the update either, pods on the host network, and pods that a controller made from a template that was
judged are left alone. Cluster-wide policies do not count: they are no part of the namespace's own default-deny. GitOps may apply
the policy after the pods; so this warns unless the config says ` + "`Deny`" + `, and for templates even then.`,
		Bad: `# in a namespace labelled bulkhead.dev/default-deny: required, where no policy selects app=report
apiVersion: v1
kind: Pod
metadata: {namespace: payments, name: report, labels: {app: report}}
spec: {containers: [{name: main, image: "example.com/report:1"}]}
`,
		Good: `# apply the default-deny of the namespace first
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: payments, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`,
		Fix: `Apply the namespace's default-deny before its pods, and DNS before that. Where policies name their pods one by one, add
one for these.`,
	},
}

// podUncoveredParameters are what the config may set for pod-uncovered.
type podUncoveredParameters struct {
	// Enrolled says which namespaces require isolation.
	Enrolled enrollment `json:"enrolled"`
}

// Validate reports an enrollment that cannot be.
func (p *podUncoveredParameters) Validate(at *field.Path) field.ErrorList {
	return p.Enrolled.Validate(at.Child("enrolled"))
}

func checkPodUncovered(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*podUncoveredParameters)
	if len(c.Subjects) == 0 {
		return nil
	}
	s := &c.Subjects[0]
	var open []netpol.Direction
	for _, d := range p.Enrolled.required(c) {
		if !s.After.Isolated(d) && (!s.Existed || s.Before.Isolated(d)) {
			open = append(open, d)
		}
	}
	if len(open) == 0 {
		return nil
	}
	v := policy.Violation{
		Field: labelsField(c), Live: s.Live(), Affected: policy.Affect(workloadsOf([]*policy.Subject{s})), Fix: coverFix(c, open),
		Detail: fmt.Sprintf("no policy selects %s for %s; namespace %s is enrolled in default-deny", those(c), apiDirections(open), c.Namespace),
	}
	if s.Live() {
		v.Headline = "1 live pod would be open to all " + directionWords(open)
	}
	return []policy.Violation{v}
}

// coverFix takes back the label edit by which the pods drop out of isolation, or isolates new ones by a policy of their own,
// which no other pod notices. There is none for pods without labels.
func coverFix(c *policy.Change, open []netpol.Direction) *policy.Fix {
	if c.OldWorkload != nil {
		return keepLabels(c)
	}
	subject := identify(c.NewWorkload)
	if len(subject.MatchLabels) == 0 {
		return nil
	}
	first := newPolicy(c, "isolate-"+strings.TrimRight(c.NewWorkload.Name, "-"), subject) // a name still to be generated ends in -
	first.Spec.PolicyTypes = typesOf(open)
	for _, d := range open {
		if r := c.After.Resolver(); d == netpol.Egress && r.Known() {
			first.Spec.Egress = append(first.Spec.Egress, resolverRule(r))
		}
	}
	return &policy.Fix{
		Say: "apply the namespace's default-deny first, or at least this, with the rules that they need:", YAML: pasteable.YAML(first),
		First: []*networkingv1.NetworkPolicy{first},
	}
}
