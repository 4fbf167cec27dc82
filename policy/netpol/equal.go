package netpol

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Equal reports whether both policies are written alike: of the same name, with the same rules in the same order. Policies that
// differ can still mean the same.
func (p *Policy) Equal(o *Policy) bool {
	return p.Namespace == o.Namespace && p.Name == o.Name && p.Isolates == o.Isolates && p.Subject.equal(o.Subject) &&
		slices.EqualFunc(p.Rules[Ingress], o.Rules[Ingress], Rule.equal) && slices.EqualFunc(p.Rules[Egress], o.Rules[Egress], Rule.equal)
}

func (r Rule) equal(o Rule) bool {
	return slices.EqualFunc(r.Peers, o.Peers, Peer.equal) && slices.Equal(r.Ports, o.Ports)
}

func (p Peer) equal(o Peer) bool {
	if (p.Block == nil) != (o.Block == nil) || (p.Namespaces == nil) != (o.Namespaces == nil) || (p.Pods == nil) != (o.Pods == nil) {
		return false
	}
	return (p.Block == nil || p.Block.CIDR == o.Block.CIDR && slices.Equal(p.Block.Except, o.Block.Except)) &&
		(p.Namespaces == nil || p.Namespaces.equal(*o.Namespaces)) && (p.Pods == nil || p.Pods.equal(*o.Pods))
}

func (s Selector) equal(o Selector) bool {
	return maps.Equal(s.source.MatchLabels, o.source.MatchLabels) &&
		slices.EqualFunc(s.source.MatchExpressions, o.source.MatchExpressions, func(a, b metav1.LabelSelectorRequirement) bool {
			return a.Key == b.Key && a.Operator == b.Operator && slices.Equal(a.Values, b.Values)
		})
}
