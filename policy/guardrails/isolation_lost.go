package guardrails

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// isolationLost: a live pod was isolated in a direction before the change and is not after it. A namespace that is
// being deleted never gets here.
var isolationLost = policy.Guardrail{
	Slug:          "isolation-lost",
	Summary:       "pods that were isolated become open to everything",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Check:         checkIsolationLost,
	Documentation: policy.Documentation{
		Why: `A pod that no policy selects in a direction is open to everything in it. Deleting or narrowing the last policy
that selects a pod therefore does not remove a rule, it removes the wall.`,
		Judged: `Each direction of each pod whose policies the change touches: was it isolated by any policy before, and is it by
none after? Another policy that still isolates the pod, a new one created before the old one is deleted included, makes the
change fine. Deletions that are part of deleting the namespace are never judged.`,
		Bad: `# kubectl delete networkpolicy default-deny, with no other policy that selects the pods
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `# apply the policy that takes over first, then delete default-deny
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: baseline}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Fix: `Apply a policy that keeps the pods isolated first. If the pods are to be open, say so with a policy that allows what
they need.`,
	},
}

func checkIsolationLost(c *policy.Change, _ any) []policy.Violation {
	var lost []*policy.Subject
	var directions []netpol.Direction
	for _, d := range netpol.Directions {
		before := len(lost)
		for i := range c.Subjects {
			if s := &c.Subjects[i]; s.Existed && s.Before.Isolated(d) && !s.After.Isolated(d) {
				lost = append(lost, s)
			}
		}
		if len(lost) > before {
			directions = append(directions, d)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	workloads, live := policy.Worse(unique(lost))
	open := "all " + directionWords(directions)
	v := policy.Violation{
		Field: "spec.podSelector", Live: live, Affected: policy.Affect(workloads),
		Headline: fmt.Sprintf("%s would be open to %s", policy.Plural(policy.LivePods(workloads), "live pod"), open),
		Detail:   fmt.Sprintf("this change leaves %s open to %s; no other policy selects them", policy.Count(workloads), open),
	}
	subject := metav1.LabelSelector{}
	switch {
	case c.NewWorkload != nil:
		v.Field = labelsField(c)
		v.Detail = fmt.Sprintf("these labels leave %s open to %s; no policy selects them any more", c.Name, open)
		v.Fix = &policy.Fix{Say: "keep the labels that policies select on: " + pairs(c.OldWorkload.Labels), Labels: c.OldWorkload.Labels}
		return []policy.Violation{v}
	case c.NewPolicy == nil:
		v.Field = ""
		v.Detail = fmt.Sprintf("deleting %s leaves %s open to %s; no other policy selects them", c.Name, policy.Count(workloads), open)
		subject = c.OldPolicy.Subject.Source()
	default:
		if sameSelector(c.OldPolicy.Subject, c.NewPolicy.Subject) {
			v.Field = "spec.policyTypes"
		}
		subject = c.OldPolicy.Subject.Source()
	}
	v.Fix = isolationFix(c, subject, directions)
	return []policy.Violation{v}
}

// isolationFix keeps the pods isolated by a policy of its own. Where that isolates them for egress it lets DNS through,
// so that the fix does not cut what the change did not mean to.
func isolationFix(c *policy.Change, subject metav1.LabelSelector, directions []netpol.Direction) *policy.Fix {
	first := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "keep-isolated"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: subject},
	}
	for _, d := range directions {
		first.Spec.PolicyTypes = append(first.Spec.PolicyTypes, networkingv1.PolicyType(d.String()))
		if r := c.After.Resolver(); d == netpol.Egress && r.Known() {
			first.Spec.Egress = append(first.Spec.Egress, resolverRule(r))
		}
	}
	return &policy.Fix{
		Say: "apply a policy that keeps them isolated first, with the rules that they need:", YAML: paste(first),
		First: []*networkingv1.NetworkPolicy{first},
	}
}

func directionWords(directions []netpol.Direction) string {
	var words []string
	for _, d := range directions {
		words = append(words, strings.ToLower(d.String()))
	}
	return strings.Join(words, " and ")
}

func unique(subjects []*policy.Subject) []*policy.Subject {
	seen := map[*policy.Subject]bool{}
	var out []*policy.Subject
	for _, s := range subjects {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func sameSelector(a, b netpol.Selector) bool { return a.String() == b.String() }
