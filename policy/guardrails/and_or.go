package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// andOr: one item of from or to has a namespaceSelector alone, its neighbour a podSelector alone, and the pods that the
// podSelector means run in the namespaces that the namespaceSelector selects and not in the policy's own. Items are
// alternatives, so all pods of those namespaces are let through: one dash too many. Where other rules let them all through
// anyway the pair changes nothing, and a pair that an update found there is left alone.
var andOr = policy.Guardrail{
	Slug:          "and-or",
	Summary:       "two peers that read like \"these pods in those namespaces\" allow either",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkAndOr,
	Documentation: policy.Documentation{
		Why: `A ` + "`namespaceSelector`" + ` and a ` + "`podSelector`" + ` in one item of ` + "`from`" + ` or ` + "`to`" + ` mean "these pods in those
namespaces". With one more dash they are two items, and items are alternatives: every pod of those namespaces, or such pods of the
policy's own namespace. Nothing fails, so nobody notices that the whole namespace is let in.`,
		Judged: `Neighbouring items of which one has a ` + "`namespaceSelector`" + ` alone and the other a ` + "`podSelector`" + ` alone that is not
empty, in either order, in the directions that ` + "`policyTypes`" + ` names. If a pod or pod template of the policy's own namespace
carries the labels they are alternatives on purpose; if none in the selected namespaces does, joining is not what was meant.
Nothing is said where the other rules of the pods' policies let all pods of those namespaces through on the same ports anyway, about
rules for DNS alone, and about items that the stored policy had in one rule already. With the action Deny it denies only where
running pods that were isolated before become open to more. A policy whose selectors would take more than 200,000
comparisons is not judged to the end.`,
		Bad: `# all pods of web get in, because no pod of shop is labelled app: frontend
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-frontend}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}
    - podSelector: {matchLabels: {app: frontend}}
    ports: [{port: 8080}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-frontend}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}
      podSelector: {matchLabels: {app: frontend}}
    ports: [{port: 8080}]
`,
		Fix: `Join the two in one item: no dash before ` + "`podSelector`" + `. Where all pods of those namespaces are to be allowed, remove the
item with the ` + "`podSelector`" + `, which matches nothing.`,
	},
}

func checkAndOr(c *policy.Change, _ any) []policy.Violation {
	f := &orFinder{change: c, budget: maxLookedAt}
	var out []policy.Violation
	f.found(func(p *orPair, hit []*policy.Subject, worse bool) bool {
		out = append(out, p.violation(c, hit, worse))
		return len(out) < maxDeadPeers
	})
	return out
}

// found calls yield with the pairs that are violations, until it returns false.
func (f *orFinder) found(yield func(p *orPair, hit []*policy.Subject, worse bool) bool) {
	for _, d := range netpol.Directions {
		pairs := f.pairs(d)
		if len(pairs) == 0 {
			continue
		}
		others := withoutWide(f.change.NewPolicy, d, pairs)
		for i := range pairs {
			if hit, opens, worse := f.opens(&pairs[i], others); opens && !yield(&pairs[i], hit, worse) {
				return
			}
		}
	}
}

// saidByAndOr knows the peers for pods that are violations of and-or, which says of them what is to be said.
type saidByAndOr struct {
	change *policy.Change
	known  map[*netpol.Peer]bool // nil until it is asked
}

func (s *saidByAndOr) has(peer *netpol.Peer) bool {
	if s.known == nil {
		s.known = map[*netpol.Peer]bool{}
		f := &orFinder{change: s.change, budget: maxLookedAt}
		f.found(func(p *orPair, _ []*policy.Subject, _ bool) bool {
			s.known[p.narrow] = true
			return len(s.known) < maxDeadPeers
		})
	}
	return s.known[peer]
}

func (p *orPair) violation(c *policy.Change, hit []*policy.Subject, worse bool) policy.Violation {
	namespaces, pods := p.count(c)
	in := where(c, p.wide, namespaces)
	all, there := "all pods of "+in, "there"
	if pods > 1 {
		all = fmt.Sprintf("all %d pods of %s", pods, in)
	}
	if _, ok := p.wide.Namespaces.Exact(corev1.LabelMetadataName); ok {
		there = "in " + in
	}
	rule, list, effect, would := fmt.Sprintf("ingress[%d]", p.rule), "from", "get in", "would get in"
	if p.direction == netpol.Egress {
		rule, list, effect, would = fmt.Sprintf("egress[%d]", p.rule), "to", "can be reached", "could be reached"
	}
	workloads, _ := policy.Worse(hit)
	v := policy.Violation{
		Field: "spec." + p.String(), Live: worse, Affected: policy.Affect(workloads), Fix: p.join(c, list),
		Headline: all + " " + would,
		Reason: fmt.Sprintf("%s[%d]+%s[%d] are OR: %s %s; join them in one item to mean %s %s",
			list, p.item, list, p.item+1, all, effect, p.narrow.Pods.Brief(), there),
	}
	v.Detail = rule + ": " + v.Reason
	return v
}

// count counts the namespaces of the pair, and the pods in them where the selector names namespaces by the value of a
// label: who names none is told no numbers.
func (p *orPair) count(c *policy.Change) (namespaces, pods int) {
	named := c.Disclose || slices.ContainsFunc(demands(*p.wide.Namespaces), demandsValue)
	for n := range c.After.PeerNamespaces(c.Namespace, p.wide) {
		namespaces++
		if !named {
			continue
		}
		for _, w := range c.After.Live(n) {
			if !w.HostNetwork {
				pods += w.Pods
			}
		}
	}
	return namespaces, pods
}

// join makes one item of the two.
func (p *orPair) join(c *policy.Change, list string) *policy.Fix {
	fixed := c.Object.DeepCopy()
	namespaces, pods := p.wide.Namespaces.Source(), p.narrow.Pods.Source()
	joined := networkingv1.NetworkPolicyPeer{NamespaceSelector: namespaces.DeepCopy(), PodSelector: pods.DeepCopy()}
	*p.in(&fixed.Spec) = joined
	if p.direction == netpol.Ingress {
		rule := &fixed.Spec.Ingress[p.rule]
		rule.From = slices.Delete(rule.From, p.item+1, p.item+2)
	} else {
		rule := &fixed.Spec.Egress[p.rule]
		rule.To = slices.Delete(rule.To, p.item+1, p.item+2)
	}
	return &policy.Fix{
		Say:  fmt.Sprintf("replace spec.%s and %s[%d] with:", p.String(), list, p.item+1),
		YAML: pasteable.YAML([]networkingv1.NetworkPolicyPeer{joined}), Instead: fixed,
	}
}
