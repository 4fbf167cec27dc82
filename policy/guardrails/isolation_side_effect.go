package guardrails

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// isolationSideEffect: the policy has rules for one direction only, its policyTypes names the other one too, and pods
// become isolated in that other direction by it: they refuse everything there though nothing in the policy is about it.
// A policy without any rule says "deny" on purpose. Pods that another policy isolates already lose nothing.
var isolationSideEffect = policy.Guardrail{
	Slug:          "isolation-side-effect",
	Summary:       "a policy about one direction cuts pods off in the other one as well",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Check:         checkIsolationSideEffect,
	Documentation: policy.Documentation{
		Why: `A direction that ` + "`policyTypes`" + ` names and that has no rules is closed. Where ` + "`policyTypes`" + ` is left out the API
server fills in Ingress, whatever the rules are about: a policy with nothing but egress rules, such as one that allows DNS,
then makes its pods refuse every connection from other pods.`,
		Judged: `The policies that have rules for one direction and none for the other, which ` + "`policyTypes`" + ` names all the same.
Each pod that such a policy selects and that no policy isolated in the direction without rules before the change is now cut off
in it. Pods that were isolated in it before, by this policy or another one, are left alone, and so is a policy that has no rules
at all: that is a default-deny, and meant. So is one that selects all pods, lets out DNS alone and names both directions, where its
author is known to have written that: ` + "`bulkhead lint`" + ` reads it, a webhook cannot tell. In the same case pods that declare no port
and that no Service selects are left alone. The API server fills in ` + "`policyTypes`" + ` before anybody is asked, so that one which
was left out looks like ` + "`[Ingress, Egress]`" + ` written out. Where only pod templates are hit this warns.`,
		Bad: `# without policyTypes this isolates the pods for ingress too
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Fix: `Name in ` + "`policyTypes`" + ` only the direction that has rules. Where the pods are to refuse everything in the other one, say so
in a policy of its own without rules, and apply that first.`,
	},
}

func checkIsolationSideEffect(c *policy.Change, _ any) []policy.Violation {
	p := c.NewPolicy
	for _, d := range netpol.Directions {
		if !p.Isolates[d] || len(p.Rules[d]) > 0 || len(p.Rules[1-d]) == 0 || c.TypesWritten && baselineWithDNS(c) {
			continue
		}
		if hit := newlyIsolated(c, d); len(hit) > 0 {
			return []policy.Violation{sideEffect(c, d, hit)}
		}
	}
	return nil
}

// baselineWithDNS reports whether the new policy is a default-deny of both directions with the one opening that every pod
// needs in it: it selects all pods, and its rules are egress rules for DNS.
func baselineWithDNS(c *policy.Change) bool {
	p, r := c.NewPolicy, c.After.Resolver()
	for i := range p.Rules[netpol.Egress] {
		if !isDNSRule(&p.Rules[netpol.Egress][i], r) {
			return false
		}
	}
	return p.Subject.Everything() && p.Isolates[netpol.Egress] && len(p.Rules[netpol.Ingress]) == 0
}

// newlyIsolated are the subjects that the change isolates in direction d. Who writes out both directions may mean of pods
// that take no connections that they take none.
func newlyIsolated(c *policy.Change, d netpol.Direction) []*policy.Subject {
	var out []*policy.Subject
	meant := d == netpol.Ingress && c.TypesWritten && c.NewPolicy.Isolates[netpol.Egress]
	for i := range c.Subjects {
		s := &c.Subjects[i]
		if !s.After.Isolated(d) || s.Before.Isolated(d) || meant && !listens(c, s.Workload) {
			continue
		}
		out = append(out, s)
	}
	return out
}

// listens reports whether anything says that the workload's pods take connections: a port that they declare, or a Service.
func listens(c *policy.Change, w *cluster.Workload) bool {
	return len(w.Ports) > 0 || slices.ContainsFunc(c.After.Namespace(w.Namespace).Services, func(svc *cluster.Service) bool { return serves(svc, w) })
}

func sideEffect(c *policy.Change, d netpol.Direction, hit []*policy.Subject) policy.Violation {
	workloads, live := policy.Worse(hit)
	effect := " would refuse all inbound"
	if d == netpol.Egress {
		effect = " would lose all outbound"
	}
	named := d.String()
	if mayBeDefault(c.Object.Spec.PolicyTypes, d) {
		named += " (the default if left out)"
	}
	v := policy.Violation{
		Field: "spec.policyTypes", Live: live, Affected: policy.Affect(workloads),
		Detail: fmt.Sprintf("%s-only rules but policyTypes has %s: %s%s",
			strings.ToLower((1 - d).String()), named, policy.Count(workloads), effect),
		Fix: oneDirection(c, d),
	}
	if live {
		v.Headline = policy.Plural(policy.LivePods(workloads), "live pod") + effect
	}
	return v
}

// mayBeDefault reports whether direction d may be in types because the API server put it there. To a policy with egress
// rules it gives Ingress and Egress, in this order; Egress it never gives to a policy without egress rules.
// Source: NetworkPolicySpec.policyTypes.
func mayBeDefault(types []networkingv1.PolicyType, d netpol.Direction) bool {
	return d == netpol.Ingress && (len(types) == 0 ||
		slices.Equal(types, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}))
}

// oneDirection leaves direction d out of policyTypes. Egress rules that come into force by that get one for DNS beside them
// where they would cut it. Pods that only the stored policy isolates in d stay isolated by a policy of their own.
func oneDirection(c *policy.Change, d netpol.Direction) *policy.Fix {
	f := &policy.Fix{Say: "under spec:", Instead: c.Object.DeepCopy()}
	f.Instead.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyType((1 - d).String())}
	lines := map[string]any{"policyTypes": f.Instead.Spec.PolicyTypes}
	fixed, err := c.WithFix(f)
	if err != nil {
		return nil
	}
	if slices.ContainsFunc(fixed.Subjects, func(s policy.Subject) bool { return s.Before.Isolated(d) && !s.After.Isolated(d) }) {
		first := newPolicy(c, "keep-isolated", c.OldPolicy.Subject.Source())
		first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyType(d.String())}
		f.Say = fmt.Sprintf("write policyTypes: [%s], and apply first what keeps the other pods isolated:", 1-d)
		f.YAML, f.First = pasteable.YAML(first), []*networkingv1.NetworkPolicy{first}
		return f
	}
	if r := c.After.Resolver(); r.Known() && !c.NewPolicy.Isolates[1-d] && len(cutFromResolver(fixed, r)) > 0 {
		f.Instead.Spec.Egress = append(f.Instead.Spec.Egress, resolverRule(r))
		lines["egress"] = f.Instead.Spec.Egress
	}
	f.YAML = pasteable.YAML(lines)
	return f
}
