package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// untranslatedRule is a rule that allows the DNS Service's port to pods that listen on others.
type untranslatedRule struct {
	items     []int // of the rule's ports
	protocols []corev1.Protocol
	targets   []uint16           // sorted
	ports     []netpol.PortMatch // with the translated ones in the place of items
	fixed     []networkingv1.NetworkPolicyPort
}

// untranslated looks at a rule of a policy of the namespace; nil where it is none, or allows what the pods listen on as well.
func untranslated(namespace string, rule *netpol.Rule, r *cluster.Resolver) *untranslatedRule {
	u := &untranslatedRule{}
	for i := range r.Backends {
		b := &r.Backends[i]
		if !rule.MatchesPeer(namespace, b.Endpoint) {
			continue
		}
		for _, protocol := range [...]corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
			target := b.Port(protocol)
			item := slices.IndexFunc(rule.Ports, func(m netpol.PortMatch) bool {
				return isOnePort(&m) && m.Protocol == protocol && m.Number == r.ServicePort
			})
			if target == 0 || item < 0 {
				continue
			}
			if rule.MatchesPort(b.Endpoint, netpol.Port{Protocol: protocol, Number: target}) {
				return nil
			}
			if !slices.Contains(u.items, item) {
				u.items, u.protocols = append(u.items, item), append(u.protocols, protocol)
				u.fixed = append(u.fixed, policyPort(protocol, target))
			}
			u.targets = append(u.targets, target)
		}
	}
	if len(u.items) == 0 {
		return nil
	}
	slices.Sort(u.targets)
	u.targets = slices.Compact(u.targets)
	for _, i := range u.items {
		u.ports = append(u.ports, rule.Ports[i])
	}
	return u
}

// untranslatedBefore reports whether the old policy had a rule with the same ports that was as wrong.
func untranslatedBefore(c *policy.Change, u *untranslatedRule, r *cluster.Resolver) bool {
	if c.OldPolicy == nil || !c.OldPolicy.Isolates[netpol.Egress] {
		return false
	}
	return slices.ContainsFunc(c.OldPolicy.Rules[netpol.Egress], func(rule netpol.Rule) bool {
		old := untranslated(c.Namespace, &rule, r)
		return old != nil && !slices.ContainsFunc(u.ports, func(m netpol.PortMatch) bool { return !slices.Contains(old.ports, m) })
	})
}

// fix writes the ports on which the pods listen in the place of the Service's.
func (u *untranslatedRule) fix(c *policy.Change, rule int) *policy.Fix {
	if len(u.targets) > 1 {
		return nil // each pod its own
	}
	fixed := c.Object.DeepCopy()
	ports := fixed.Spec.Egress[rule].Ports
	for i, item := range u.items {
		ports[item] = u.fixed[i]
	}
	return &policy.Fix{
		Say: fmt.Sprintf("write in spec.egress[%d]:", rule), YAML: pasteable.YAML(map[string]any{"ports": ports}), Instead: fixed,
	}
}

// askingNowhere lists the subjects that the new policy selects, ask the cluster's resolver and reach it on one of the protocols
// nowhere.
func askingNowhere(c *policy.Change, r *cluster.Resolver, protocols []corev1.Protocol, translated cluster.Truth) []*policy.Subject {
	var out []*policy.Subject
	for _, s := range selectedSubjects(c) {
		if s.Workload.ClusterDNS() && slices.ContainsFunc(protocols, func(protocol corev1.Protocol) bool {
			if translated == cluster.Yes {
				return !reachesBackends(&s.After, r, protocol) && !reachesLocal(&s.After, r, protocol)
			}
			return !reachesResolver(&s.After, r, protocol)
		}) {
			out = append(out, s)
		}
	}
	return out
}
