package guardrails

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// baselineHalf: a default-deny isolates the pods of its namespace in one direction, and in the other one no policy does.
// Two policies, one for each direction, are as good as one. What another half covered before is left alone, and what a
// change takes out of isolation is isolation-lost's.
var baselineHalf = policy.Guardrail{
	Slug:          "baseline-half",
	Summary:       "a default-deny covers one direction, and nothing covers the other",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	Check:         checkBaselineHalf,
	Documentation: policy.Documentation{
		Why: `A default-deny without Egress in ` + "`policyTypes`" + ` says nothing about what the pods send: a pod that was broken into
still reaches everything. Its name does not show that, and Ingress alone is what the API server fills in.`,
		Judged: `The policies that select all pods of their namespace and have no rules, and whose ` + "`policyTypes`" + ` names one
direction: which pods does no policy isolate in the other direction, in the union of all that select them? The finding warns for
the first of two policies that cover a direction each, and is silent for the second one. An update that leaves the policy as it
was in this is left alone, and so are pods for which another such policy was there before. Pods that lose their isolation by
the change are isolation-lost's. Where nothing runs yet, another policy that selects all pods has to cover the other direction.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `# with a policy that allows DNS beside it
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`,
		Fix: `Cover the other direction too, by this policy or a second one. Before pods that run are isolated for egress, allow what
they need: DNS first of all.`,
	},
}

func checkBaselineHalf(c *policy.Change, _ any) []policy.Violation {
	d, half := halfBaseline(c.NewPolicy)
	if !half {
		return nil
	}
	open := 1 - d
	var hit []*policy.Subject
	for i := range c.Subjects {
		s := &c.Subjects[i]
		if !s.After.Isolated(open) && !s.Before.Isolated(open) && !halvesAmong(s.Before.Policies, d) {
			hit = append(hit, s)
		}
	}
	if len(hit) == 0 && !halfOfNothing(c, d) {
		return nil
	}
	workloads, live := policy.Worse(hit)
	v := policy.Violation{
		Field: "spec.policyTypes", Live: live, Affected: policy.Affect(workloads), Fix: otherHalf(c, open),
		Detail: fmt.Sprintf("%s covers %s only; %s unrestricted %s", c.Name, d, keep(c, workloads), open.Field()),
	}
	if live {
		v.Headline = fmt.Sprintf("%s would keep unrestricted %s", policy.Plural(policy.LivePods(workloads), "live pod"), open.Field())
	}
	return []policy.Violation{v}
}

// halfBaseline reports whether p is a default-deny of one direction: it selects all pods, has no rules, and isolates in d
// alone.
func halfBaseline(p *netpol.Policy) (d netpol.Direction, ok bool) {
	if p == nil || !p.Subject.Everything() || p.Isolates[netpol.Ingress] == p.Isolates[netpol.Egress] {
		return d, false
	}
	if p.Isolates[netpol.Egress] {
		d = netpol.Egress
	}
	return d, len(p.Rules[netpol.Ingress])+len(p.Rules[netpol.Egress]) == 0
}

func halvesAmong(policies []*netpol.Policy, d netpol.Direction) bool {
	for _, p := range policies {
		if covers, half := halfBaseline(p); half && covers == d {
			return true
		}
	}
	return false
}

// halfOfNothing reports whether the new policy is a half in a namespace without pods and templates.
func halfOfNothing(c *policy.Change, d netpol.Direction) bool {
	if len(c.After.Candidates(c.After.Namespace(c.Namespace))) > 0 || halvesAmong(c.Before.Policies(c.Namespace), d) {
		return false
	}
	for _, policies := range [...][]*netpol.Policy{c.Before.Policies(c.Namespace), c.After.Policies(c.Namespace)} {
		for _, p := range policies {
			if p.Isolates[1-d] && p.Subject.Everything() {
				return false
			}
		}
	}
	return true
}

// keep says whose traffic stays unrestricted: "12 pods in payments keep".
func keep(c *policy.Change, workloads []*cluster.Workload) string {
	switch n := policy.LivePods(workloads); {
	case n == 1:
		return "1 pod in " + c.Namespace + " keeps"
	case n > 0:
		return fmt.Sprintf("%d pods in %s keep", n, c.Namespace)
	case len(workloads) == 0:
		return "pods to come in " + c.Namespace + " keep"
	}
	return fmt.Sprintf("pods of %s in %s keep", policy.Plural(len(workloads), "template"), c.Namespace)
}

// otherHalf is a default-deny of the other direction. For egress it lets DNS through.
func otherHalf(c *policy.Change, open netpol.Direction) *policy.Fix {
	first := newPolicy(c, "default-deny-"+open.Field(), metav1.LabelSelector{})
	first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyType(open.String())}
	if r := c.After.Resolver(); open == netpol.Egress && r.Known() {
		first.Spec.Egress = append(first.Spec.Egress, resolverRule(r))
	}
	return &policy.Fix{
		Say: "to cover both directions, apply this first, with the rules that the pods need:", YAML: pasteable.YAML(first),
		First: []*networkingv1.NetworkPolicy{first},
	}
}
