package guardrails

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// lossField is the part of the reviewed policy by which the workloads lose connections in direction d: its podSelector where it
// selects them no more, its policyTypes where its rules no longer count, else its rules. It is empty for a deletion.
func lossField(c *policy.Change, workloads []*cluster.Workload, d netpol.Direction) string {
	switch {
	case c.NewPolicy == nil:
		return ""
	case !selectsAll(c.NewPolicy, workloads, c):
		return "spec.podSelector"
	case !c.NewPolicy.Isolates[d]:
		return "spec.policyTypes"
	}
	return "spec." + d.Field()
}

// restoreEgress gives the fix of a policy that takes egress from the subjects: the rules are added to it where it has egress
// rules already and selects none but the subjects, else they are a policy of their own for their pods that comes first.
func restoreEgress(c *policy.Change, cut []*policy.Subject, pods metav1.LabelSelector, name string,
	rules []networkingv1.NetworkPolicyEgressRule,
) *policy.Fix {
	if c.Object != nil && len(c.Object.Spec.Egress) > 0 && selectsOnly(c, cut, netpol.Egress) {
		fixed := c.Object.DeepCopy()
		fixed.Spec.Egress = append(fixed.Spec.Egress, rules...)
		return &policy.Fix{Say: "add under spec.egress:", YAML: pasteable.YAML(rules), Instead: fixed}
	}
	first := newPolicy(c, name, pods)
	first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	first.Spec.Egress = rules
	return &policy.Fix{Say: "apply this policy first:", YAML: pasteable.YAML(first), First: []*networkingv1.NetworkPolicy{first}}
}

// restoreIngress is restoreEgress for ingress.
func restoreIngress(c *policy.Change, cut []*policy.Subject, pods metav1.LabelSelector, name string,
	rules []networkingv1.NetworkPolicyIngressRule,
) *policy.Fix {
	if c.Object != nil && len(c.Object.Spec.Ingress) > 0 && selectsOnly(c, cut, netpol.Ingress) {
		fixed := c.Object.DeepCopy()
		fixed.Spec.Ingress = append(fixed.Spec.Ingress, rules...)
		return &policy.Fix{Say: "add under spec.ingress:", YAML: pasteable.YAML(rules), Instead: fixed}
	}
	first := newPolicy(c, name, pods)
	first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	first.Spec.Ingress = rules
	return &policy.Fix{Say: "apply this policy first:", YAML: pasteable.YAML(first), First: []*networkingv1.NetworkPolicy{first}}
}

// selectsOnly reports whether the new policy isolates in direction d all of the subjects and, among live pods, none beside them:
// what is added to it then serves nobody else. A policy for all pods serves those that come later, too.
func selectsOnly(c *policy.Change, cut []*policy.Subject, d netpol.Direction) bool {
	if !c.NewPolicy.Isolates[d] || everyPod(&c.Object.Spec.PodSelector) || !selectsAll(c.NewPolicy, workloadsOf(cut), c) {
		return false
	}
	among := map[*policy.Subject]bool{}
	for _, s := range cut {
		among[s] = true
	}
	for _, s := range selectedSubjects(c) {
		if s.Live() && !among[s] {
			return false
		}
	}
	return true
}

// narrowSelector selects the subjects and as few pods beside them as can be.
func narrowSelector(c *policy.Change, cut []*policy.Subject, d netpol.Direction) metav1.LabelSelector {
	workloads, _ := policy.Worse(cut)
	if s, ok := identifyAll(workloads); ok {
		return s
	}
	return selectorFor(c, cut, d)
}

// runningOwners are what made the live pods of a namespace. A template whose pods run says nothing that they do not say.
func runningOwners(s *cluster.Snapshot, n *cluster.Namespace) map[cluster.Owner]bool {
	out := map[cluster.Owner]bool{}
	for _, w := range s.Live(n) {
		for _, o := range w.Owners() {
			out[cluster.Owner{Kind: o.Kind, Name: o.Name}] = true
		}
	}
	return out
}

// toJudge gives the subjects but for the templates whose pods run.
func toJudge(c *policy.Change) []*policy.Subject {
	var owners map[cluster.Owner]bool
	out := make([]*policy.Subject, 0, len(c.Subjects))
	for i := range c.Subjects {
		w := c.Subjects[i].Workload
		if w.Template && c.NewWorkload == nil {
			if owners == nil {
				owners = runningOwners(c.After, c.After.Namespace(c.Namespace))
			}
			if owners[cluster.Owner{Kind: w.Kind, Name: w.Name}] {
				continue
			}
		}
		out = append(out, &c.Subjects[i])
	}
	return out
}

// everyPod reports whether the selector is empty, which selects all pods.
func everyPod(s *metav1.LabelSelector) bool {
	return len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}
