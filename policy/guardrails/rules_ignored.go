package guardrails

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// rulesIgnored: the policy has rules for a direction that its policyTypes leaves out, so that the API takes no notice of
// them. An update whose ignored rules the stored policy ignored already is left alone. It needs no live pod: the rules
// are void whatever runs.
var rulesIgnored = policy.Guardrail{
	Slug:          "rules-ignored",
	Summary:       "rules have no effect because policyTypes lacks their direction",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Deny,
	Check:         checkRulesIgnored,
	Documentation: policy.Documentation{
		Why: `Rules of a direction apply only if ` + "`policyTypes`" + ` names it. A policy with egress rules and
` + "`policyTypes: [Ingress]`" + ` is stored without complaint, looks like a wall on review, and restricts no egress at all.`,
		Judged: `Whether the policy has ingress or egress rules while its ` + "`policyTypes`" + ` lacks that direction. A policy without
` + "`policyTypes`" + ` never does: the API server fills them in from the rules. An update is left alone where the stored
policy had the same rules, ignored in the same way.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  egress:
  - to: [{podSelector: {matchLabels: {app: db}}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: db}}}]
    ports: [{protocol: TCP, port: 5432}]
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Fix: `Name the direction in ` + "`policyTypes`" + `, or remove its rules if the direction is to stay open. Naming it isolates the pods:
they then refuse all that the rules leave out, DNS included.`,
	},
}

func checkRulesIgnored(c *policy.Change, _ any) []policy.Violation {
	var out []policy.Violation
	for _, d := range netpol.Directions {
		if len(c.NewPolicy.Rules[d]) == 0 || c.NewPolicy.Isolates[d] || ignoredBefore(c, d) {
			continue
		}
		workloads, live := policy.Worse(selectedSubjects(c))
		word := strings.ToLower(d.String())
		out = append(out, policy.Violation{
			Field: "spec.policyTypes", Live: live, Affected: policy.Affect(workloads),
			Headline: fmt.Sprintf("its %s rules would have no effect", word),
			Detail:   fmt.Sprintf("%s rules are present but policyTypes lacks %s: they have no effect", word, d),
			Fix:      nameDirection(c, d),
		})
	}
	return out
}

// selectedSubjects are the subjects that the new policy selects.
func selectedSubjects(c *policy.Change) []*policy.Subject {
	var out []*policy.Subject
	for i := range c.Subjects {
		if c.NewPolicy.Selects(c.Subjects[i].After.Endpoint) {
			out = append(out, &c.Subjects[i])
		}
	}
	return out
}

// ignoredBefore reports whether every rule was in the old policy and had no effect there either.
func ignoredBefore(c *policy.Change, d netpol.Direction) bool {
	if c.OldPolicy == nil || c.OldPolicy.Isolates[d] {
		return false
	}
	for _, rule := range c.NewPolicy.Rules[d] {
		if !slices.ContainsFunc(c.OldPolicy.Rules[d], func(old netpol.Rule) bool { return reflect.DeepEqual(old, rule) }) {
			return false
		}
	}
	return true
}

// nameDirection puts the rules into force, with a rule for DNS where their force would cut it.
func nameDirection(c *policy.Change, d netpol.Direction) *policy.Fix {
	fixed := c.Object.DeepCopy()
	fixed.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if !c.NewPolicy.Isolates[1-d] && len(c.NewPolicy.Rules[1-d]) == 0 {
		fixed.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyType(d.String())}
	}
	lines := map[string]any{"policyTypes": fixed.Spec.PolicyTypes}
	f := &policy.Fix{Say: "under spec:", Instead: fixed}
	if r := c.After.Resolver(); d == netpol.Egress && r.Known() {
		if after, err := c.WithFix(f); err == nil && len(cutFromResolver(after, r)) > 0 {
			fixed.Spec.Egress = append(fixed.Spec.Egress, resolverRule(r))
			lines["egress"] = fixed.Spec.Egress
		}
	}
	f.YAML = pasteable.YAML(lines)
	return f
}
