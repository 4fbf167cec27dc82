package netpol

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// maxPriority is the highest priority value, which is the last to be asked. Source: ClusterNetworkPolicySpec.priority.
const maxPriority = 1000

// baselineName is the one name that a BaselineAdminNetworkPolicy may have. Source: its API documentation, "singleton".
const baselineName = "default"

// CompileClusterNetworkPolicy parses a policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. It fails where the API
// server would not have stored it: the error names every field that is wrong. Peers of the kinds nodes and domainNames
// match nothing that Bulkhead compares: neither pods nor addresses.
func CompileClusterNetworkPolicy(p *v1alpha2.ClusterNetworkPolicy) (*TierPolicy, error) {
	c := tierCompiler{}
	out := &TierPolicy{Kind: "ClusterNetworkPolicy", Name: p.Name, Priority: p.Spec.Priority}
	switch p.Spec.Tier {
	case v1alpha2.AdminTier:
	case v1alpha2.BaselineTier:
		out.Tier = BaselineTier
	default:
		c.fail("spec.tier", string(p.Spec.Tier), "use Admin or Baseline")
	}
	c.priority(p.Spec.Priority)
	c.subject(out, p.Spec.Subject.Namespaces, podsOf(p.Spec.Subject.Pods))
	for i := range p.Spec.Ingress {
		r := &p.Spec.Ingress[i]
		at := fmt.Sprintf("spec.ingress[%d]", i)
		var peers []tierPeer
		for _, peer := range r.From {
			peers = append(peers, tierPeer{namespaces: peer.Namespaces, pods: podsOf(peer.Pods)})
		}
		rule := c.rule(at, "from", r.Name, string(r.Action), string(Accept), peers)
		rule.restrict(c.protocols(at, r.Protocols))
		out.Rules[Ingress] = append(out.Rules[Ingress], rule)
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		at := fmt.Sprintf("spec.egress[%d]", i)
		var peers []tierPeer
		for _, peer := range r.To {
			peers = append(peers, tierPeer{
				namespaces: peer.Namespaces, pods: podsOf(peer.Pods), networks: strs(peer.Networks),
				elsewhere: peer.Nodes != nil || len(peer.DomainNames) > 0,
			})
		}
		rule := c.rule(at, "to", r.Name, string(r.Action), string(Accept), peers)
		rule.restrict(c.protocols(at, r.Protocols))
		out.Rules[Egress] = append(out.Rules[Egress], rule)
	}
	return c.done(out)
}

// CompileAdminNetworkPolicy is CompileClusterNetworkPolicy for the older policy.networking.k8s.io/v1alpha1
// AdminNetworkPolicy; its Allow is called Accept here.
func CompileAdminNetworkPolicy(p *v1alpha1.AdminNetworkPolicy) (*TierPolicy, error) {
	c := tierCompiler{}
	out := &TierPolicy{Kind: "AdminNetworkPolicy", Name: p.Name, Priority: p.Spec.Priority}
	c.priority(p.Spec.Priority)
	c.subject(out, p.Spec.Subject.Namespaces, oldPodsOf(p.Spec.Subject.Pods))
	for i := range p.Spec.Ingress {
		r := &p.Spec.Ingress[i]
		c.oldRule(out, Ingress, i, r.Name, string(r.Action), oldSources(r.From), r.Ports)
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		c.oldRule(out, Egress, i, r.Name, string(r.Action), oldDestinations(r.To), r.Ports)
	}
	return c.done(out)
}

// CompileBaselineAdminNetworkPolicy is CompileAdminNetworkPolicy for the one BaselineAdminNetworkPolicy of a cluster. It
// is asked after the ClusterNetworkPolicies of the Baseline tier.
func CompileBaselineAdminNetworkPolicy(p *v1alpha1.BaselineAdminNetworkPolicy) (*TierPolicy, error) {
	c := tierCompiler{}
	out := &TierPolicy{Kind: "BaselineAdminNetworkPolicy", Name: p.Name, Tier: BaselineTier, Priority: maxPriority + 1}
	if p.Name != baselineName {
		c.fail("metadata.name", p.Name, `a cluster has one BaselineAdminNetworkPolicy, named "default"`)
	}
	c.subject(out, p.Spec.Subject.Namespaces, oldPodsOf(p.Spec.Subject.Pods))
	for i := range p.Spec.Ingress {
		r := &p.Spec.Ingress[i]
		c.oldRule(out, Ingress, i, r.Name, string(r.Action), oldSources(r.From), r.Ports)
	}
	for i := range p.Spec.Egress {
		r := &p.Spec.Egress[i]
		c.oldRule(out, Egress, i, r.Name, string(r.Action), oldBaselineDestinations(r.To), r.Ports)
	}
	for d, rules := range out.Rules {
		for i := range rules {
			if rules[i].Action == Pass {
				c.fail(fmt.Sprintf("spec.%s[%d].action", Direction(d).Field(), i), "Pass", "no tier follows; use Allow or Deny")
			}
		}
	}
	return c.done(out)
}

// tierCompiler reads what the kinds have in common.
type tierCompiler struct{ compiler }

// tierPeer is a peer of any of the kinds.
type tierPeer struct {
	namespaces *metav1.LabelSelector
	pods       *namespacedPods
	networks   []string
	elsewhere  bool // nodes or domain names
}

type namespacedPods struct{ namespaces, pods *metav1.LabelSelector }

func podsOf(p *v1alpha2.NamespacedPod) *namespacedPods {
	if p == nil {
		return nil
	}
	return &namespacedPods{&p.NamespaceSelector, &p.PodSelector}
}

func oldPodsOf(p *v1alpha1.NamespacedPod) *namespacedPods {
	if p == nil {
		return nil
	}
	return &namespacedPods{&p.NamespaceSelector, &p.PodSelector}
}

// count counts the conditions that hold.
func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

func strs[T ~string](in []T) []string {
	var out []string
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

func (c *tierCompiler) done(p *TierPolicy) (*TierPolicy, error) {
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("%s %s: %w", p.Kind, p.Name, errors.Join(c.errs...))
	}
	return p, nil
}

func (c *tierCompiler) priority(n int32) {
	if n < 0 || n > maxPriority {
		c.fail("spec.priority", fmt.Sprint(n), "use a priority from 0 to 1000")
	}
}

func (c *tierCompiler) subject(out *TierPolicy, namespaces *metav1.LabelSelector, pods *namespacedPods) {
	switch {
	case (namespaces == nil) == (pods == nil):
		c.fail("spec.subject", "", "set one of namespaces and pods")
	case namespaces != nil:
		out.Namespaces = c.selector("spec.subject.namespaces", namespaces)
	default:
		out.Namespaces = c.selector("spec.subject.pods.namespaceSelector", pods.namespaces)
		s := c.selector("spec.subject.pods.podSelector", pods.pods)
		out.Pods = &s
	}
}

// rule reads what the rules of all kinds have in common; accept is what the kind calls Accept.
func (c *tierCompiler) rule(at, field, name, action, accept string, peers []tierPeer) TierRule {
	r := TierRule{Name: name, Action: TierAction(action)}
	switch action {
	case accept:
		r.Action = Accept
	case string(Deny), string(Pass):
	default:
		c.fail(at+".action", action, "use "+accept+", Deny or Pass")
	}
	if len(peers) == 0 {
		c.fail(at+"."+field, "[]", "name at least one peer; an empty namespaces selector means all pods")
	}
	known := true
	for i := range peers {
		known = c.tierPeer(fmt.Sprintf("%s.%s[%d]", at, field, i), &peers[i], &r) && known
	}
	if !known {
		r.failClosed()
	}
	return r
}

// failClosed makes what the API documentation wants of a rule with a peer of a kind that only a newer API has: one that
// accepts matches nothing, any other denies everything.
func (r *TierRule) failClosed() {
	r.Peers = nil
	if r.Action != Accept {
		r.Action, r.Everyone = Deny, true
	}
}

// restrict gives the rule its ports. One that denies everything has none.
func (r *TierRule) restrict(ports []PortMatch) {
	if !r.Everyone {
		r.Ports = ports
	}
}

// tierPeer adds the peer to the rule; known is false for one that has no field which Bulkhead knows.
func (c *tierCompiler) tierPeer(at string, p *tierPeer, r *TierRule) (known bool) {
	if count(p.namespaces != nil, p.pods != nil, len(p.networks) > 0, p.elsewhere) > 1 {
		c.fail(at, "several fields", "set one field; give the others items of their own")
	}
	switch {
	case p.namespaces != nil:
		s := c.selector(at+".namespaces", p.namespaces)
		r.Peers = append(r.Peers, Peer{Namespaces: &s})
	case p.pods != nil:
		namespaces := c.selector(at+".pods.namespaceSelector", p.pods.namespaces)
		pods := c.selector(at+".pods.podSelector", p.pods.pods)
		r.Peers = append(r.Peers, Peer{Namespaces: &namespaces, Pods: &pods})
	case len(p.networks) > 0:
		for i, cidr := range p.networks {
			r.Peers = append(r.Peers, Peer{Block: &IPBlock{CIDR: c.prefix(fmt.Sprintf("%s.networks[%d]", at, i), cidr)}})
		}
	default:
		return p.elsewhere
	}
	return true
}

// protocols reads v1alpha2's ports. A named port says no protocol and stands for all that have the name.
func (c *tierCompiler) protocols(at string, items []v1alpha2.ClusterNetworkPolicyProtocol) []PortMatch {
	var out []PortMatch
	for i := range items {
		p, here := &items[i], fmt.Sprintf("%s.protocols[%d]", at, i)
		if count(p.TCP != nil, p.UDP != nil, p.SCTP != nil, p.DestinationNamedPort != "") > 1 {
			c.fail(here, "several fields", "set one field; give the others items of their own")
		}
		switch {
		case p.TCP != nil:
			out = append(out, c.number(here+".tcp.destinationPort", corev1.ProtocolTCP, p.TCP.DestinationPort))
		case p.UDP != nil:
			out = append(out, c.number(here+".udp.destinationPort", corev1.ProtocolUDP, p.UDP.DestinationPort))
		case p.SCTP != nil:
			out = append(out, c.number(here+".sctp.destinationPort", corev1.ProtocolSCTP, p.SCTP.DestinationPort))
		case p.DestinationNamedPort != "":
			out = append(out, anyProtocol(p.DestinationNamedPort)...)
		default:
			c.fail(here, "{}", "set tcp, udp, sctp or destinationNamedPort")
		}
	}
	return out
}

func (c *tierCompiler) number(at string, protocol corev1.Protocol, p *v1alpha2.Port) PortMatch {
	switch {
	case p == nil:
		return PortMatch{Protocol: protocol}
	case p.Range != nil:
		return c.span(at+".range", protocol, p.Range.Start, p.Range.End)
	}
	return c.span(at+".number", protocol, p.Number, p.Number)
}

func (c *tierCompiler) span(at string, protocol corev1.Protocol, first, last int32) PortMatch {
	out := PortMatch{Protocol: protocol, Number: c.portNumber(at, first)}
	if out.End = out.Number; last != first {
		out.End = c.portNumber(at, last)
	}
	if last < first {
		c.fail(at, fmt.Sprintf("%d-%d", first, last), "the end has to be after the start")
	}
	return out
}
