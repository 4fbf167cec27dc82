package guardrails

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// selectorEphemeral: a podSelector of the new policy asks for a value that a controller gives anew with each rollout, or of a
// label that the platform calls mutable. Labels that stay with one pod, such as a StatefulSet pod's name, may be meant. A use
// that the old policy has in the same place is left alone.
var selectorEphemeral = policy.Guardrail{
	Slug:          "selector-ephemeral",
	Summary:       "a podSelector asks for a label value that the next rollout changes",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	NewParameters: func() any { return &ephemeralParameters{} },
	Check:         checkSelectorEphemeral,
	Documentation: policy.Documentation{
		Why: `Controllers put labels on pods whose values change with each rollout. A selector copied from a running pod matches today
and nothing tomorrow: the pods are open again, or cut off from their peers, and no change of a policy was to blame.`,
		Judged: `The policy's ` + "`podSelector`" + ` and those of its peers, in the directions that ` + "`policyTypes`" + ` names: do they ask for a
value of ` + "`pod-template-hash`, `controller-revision-hash`, `pod-template-generation`" + `, a Job's ` + "`controller-uid`" + `, or of one of the
configured ` + "`mutableKeys`" + `? That the label is there at all, whatever its value, may be asked for. So may values that stay: the name
of a StatefulSet's pod, an index, the name of a Job. An update is not blamed for what it found there.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api, pod-template-hash: 687d74dc8b}}
  policyTypes: [Ingress]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
`,
		Fix: "Select the labels that the pod template itself carries.",
	},
}

// ephemeralParameters are what the config may set for selector-ephemeral.
type ephemeralParameters struct {
	// MutableKeys lists the keys of further pod labels whose values change while the workload stays, such as a build's number.
	MutableKeys []string `json:"mutableKeys"`
}

// Validate reports keys that are no label's or named twice.
func (p *ephemeralParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, key := range p.MutableKeys {
		at := path.Child("mutableKeys").Index(i)
		switch problems := validation.IsQualifiedName(key); {
		case len(problems) > 0:
			errs = append(errs, field.Invalid(at, key, "a label key: "+problems[0]))
		case slices.Contains(p.MutableKeys[:i], key):
			errs = append(errs, field.Duplicate(at, key))
		}
	}
	return errs
}

// changing says on what occasion the values of the key change; it is empty for a key whose values stay.
// Sources: apps/v1 DefaultDeploymentUniqueLabelKey, ControllerRevisionHashLabelKey and DeprecatedTemplateGeneration,
// batch/v1 ControllerUidLabel.
func (p *ephemeralParameters) changing(key string) string {
	switch key {
	case "pod-template-hash", "controller-revision-hash", "pod-template-generation":
		return "the next rollout"
	case "controller-uid", "batch.kubernetes.io/controller-uid":
		return "the next Job"
	}
	if slices.Contains(p.MutableKeys, key) {
		return "its next value"
	}
	return ""
}

// ephemeral lists the requirements of the selector on values that change.
func (p *ephemeralParameters) ephemeral(s *netpol.Selector) []labels.Requirement {
	if s == nil || s.Everything() || !slices.ContainsFunc(s.Keys(), func(k string) bool { return p.changing(k) != "" }) {
		return nil
	}
	return slices.DeleteFunc(demands(*s), func(r labels.Requirement) bool {
		return p.changing(r.Key()) == "" || r.Operator() == selection.Exists || r.Operator() == selection.DoesNotExist
	})
}

// uses names the keys of the selector whose values change.
func (p *ephemeralParameters) uses(s *netpol.Selector) string {
	var keys []string
	for _, r := range p.ephemeral(s) {
		keys = append(keys, r.Key())
	}
	return strings.Join(slices.Compact(keys), " and ")
}

func checkSelectorEphemeral(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*ephemeralParameters)
	var out []policy.Violation
	subject := &c.NewPolicy.Subject
	if used := p.uses(subject); used != "" && (c.OldPolicy == nil || p.uses(&c.OldPolicy.Subject) != used) {
		workloads, _ := policy.Worse(selectedSubjects(c))
		v := p.violation("podSelector", "this policy", subject)
		v.Affected = policy.Affect(workloads)
		if kept := p.lasting(subject, workloads); kept != nil {
			fixed := c.Object.DeepCopy()
			fixed.Spec.PodSelector = *kept
			v.Fix = selectorFix("spec", "podSelector", kept, fixed)
		}
		out = append(out, v)
	}
	usedThere := func(peer *netpol.Peer) string { return namespacesKey(peer) + " " + p.uses(peer.Pods) }
	for at := range newPeers(c, usedThere) {
		if p.uses(at.peer.Pods) == "" || len(out) == maxDeadPeers {
			continue
		}
		v := p.violation(at.String()+".podSelector", "this peer", at.peer.Pods)
		if kept := p.lasting(at.peer.Pods, nil); kept != nil {
			fixed := c.Object.DeepCopy()
			at.in(&fixed.Spec).PodSelector = kept
			v.Fix = selectorFix("spec."+at.String(), "podSelector", kept, fixed)
		}
		out = append(out, v)
	}
	return out
}

func (p *ephemeralParameters) violation(place, whose string, s *netpol.Selector) policy.Violation {
	effect := " leaves " + whose + " matching nothing"
	first := p.ephemeral(s)[0]
	if !slices.ContainsFunc(p.ephemeral(s), demandsValue) {
		effect = " changes what " + whose + " matches"
	}
	when := p.changing(first.Key())
	reason := "uses " + p.uses(s) + "; " + when + effect
	return policy.Violation{
		Field: "spec." + place, Headline: when + " would change what a podSelector matches", Detail: place + " " + reason, Reason: reason,
	}
}

// lasting gives the selector without the requirements on values that change. Where nothing else is left it selects the
// workloads by the labels that stay with them; nil where these have none in common.
func (p *ephemeralParameters) lasting(s *netpol.Selector, workloads []*cluster.Workload) *metav1.LabelSelector {
	source := s.Source()
	out := source.DeepCopy()
	for _, r := range p.ephemeral(s) {
		delete(out.MatchLabels, r.Key())
	}
	out.MatchExpressions = slices.DeleteFunc(out.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool {
		return p.changing(e.Key) != "" && len(e.Values) > 0
	})
	if len(out.MatchLabels)+len(out.MatchExpressions) > 0 {
		return out
	}
	if len(workloads) == 0 {
		return nil
	}
	narrow, ok := identifyAll(workloads)
	for k := range narrow.MatchLabels {
		if p.changing(k) != "" {
			delete(narrow.MatchLabels, k)
		}
	}
	if !ok || len(narrow.MatchLabels)+len(narrow.MatchExpressions) == 0 {
		return nil
	}
	return &narrow
}
