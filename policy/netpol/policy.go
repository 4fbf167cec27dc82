package netpol

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	netutils "k8s.io/utils/net"
)

// Policy is a compiled NetworkPolicy: parsed once, matched many times, never changed.
type Policy struct {
	Namespace, Name string
	// Subject is spec.podSelector: the pods that the policy applies to. Empty selects all pods of the namespace.
	Subject Selector
	// Rules hold the rules by Direction. Rules of a direction in which the policy does not isolate are compiled too,
	// though they have no effect.
	Rules [2][]Rule
	// Isolates says by Direction whether policyTypes names it: the selected pods then refuse what no rule allows.
	Isolates [2]bool

	// places are where the rules are in a policy of which Distinct has left something out; else nil.
	places [2][]int32
}

// Place gives the index that the i-th rule of Rules has in the policy's spec. They differ only in a large policy that repeats itself.
func (p *Policy) Place(d Direction, i int) int {
	if i < len(p.places[d]) {
		return int(p.places[d][i])
	}
	return i
}

// Rule is one ingress or egress rule: "traffic must match both ports and from/to".
type Rule struct {
	// Peers of the rule, combined by OR. Empty allows every peer, in and outside the cluster.
	Peers []Peer
	// Ports of the rule, combined by OR. Empty allows every port of every protocol.
	Ports []PortMatch
}

// Peer is one item of from or to: an ipBlock, or selectors combined by AND.
type Peer struct {
	// Block is set for an ipBlock peer; the selectors are then unset.
	Block *IPBlock
	// Namespaces selects the peers' namespaces; nil means the policy's own namespace.
	Namespaces *Selector
	// Pods selects pods in those namespaces; nil means all of them.
	Pods *Selector
}

// IPBlock is a CIDR without its exceptions.
type IPBlock struct {
	CIDR   netip.Prefix
	Except []netip.Prefix
}

// PortMatch is one item of ports. Number and Name are both unset for "all ports of the protocol".
type PortMatch struct {
	Protocol corev1.Protocol
	// Number is the port, or the first of a range.
	Number uint16
	// End is the last port of a range, included; equal to Number for a single port.
	End uint16
	// Name of a container port, resolved on the destination pod.
	Name string
}

// Compile parses np. It fails where the API server would not have stored np: the error names the field, the value and
// what is expected there. All problems are reported together. Rules, peers and ports that repeat an earlier one are left out of a
// large policy, so that it takes memory for what it says and not for how often.
func Compile(np *networkingv1.NetworkPolicy) (*Policy, error) {
	short, places := Distinct(np)
	p, err := compile(short)
	if places == nil {
		return p, err
	}
	if err != nil {
		return compile(np) // for the problems' own places
	}
	for d := range places.rules {
		for i := range places.rules[d] {
			p.places[d] = append(p.places[d], places.rules[d][i].rule)
		}
	}
	return p, nil
}

func compile(np *networkingv1.NetworkPolicy) (*Policy, error) {
	c := compiler{}
	p := &Policy{Namespace: np.Namespace, Name: np.Name}
	p.Subject = c.selector("spec.podSelector", &np.Spec.PodSelector)

	// The API server defaults policyTypes before it stores a policy: Ingress always, Egress where egress rules are
	// present (NetworkPolicySpec.policyTypes). Manifests read offline may lack it.
	p.Isolates[Ingress] = len(np.Spec.PolicyTypes) == 0
	p.Isolates[Egress] = len(np.Spec.PolicyTypes) == 0 && len(np.Spec.Egress) > 0
	if len(np.Spec.PolicyTypes) > len(Directions) {
		c.fail("spec.policyTypes", fmt.Sprint(np.Spec.PolicyTypes), "name Ingress and Egress once each")
	}
	for i, t := range np.Spec.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			p.Isolates[Ingress] = true
		case networkingv1.PolicyTypeEgress:
			p.Isolates[Egress] = true
		default:
			c.fail(fmt.Sprintf("spec.policyTypes[%d]", i), string(t), "use Ingress or Egress")
		}
	}
	for i, r := range np.Spec.Ingress {
		at := fmt.Sprintf("spec.ingress[%d]", i)
		p.Rules[Ingress] = append(p.Rules[Ingress], c.rule(at, at+".from", r.From, r.Ports))
	}
	for i, r := range np.Spec.Egress {
		at := fmt.Sprintf("spec.egress[%d]", i)
		p.Rules[Egress] = append(p.Rules[Egress], c.rule(at, at+".to", r.To, r.Ports))
	}
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("NetworkPolicy %s/%s: %w", np.Namespace, np.Name, errors.Join(c.errs...))
	}
	return p, nil
}

// mappedBits is the length of ::ffff:0:0/96, the prefix of all IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2).
const mappedBits = 96

type compiler struct{ errs []error }

func (c *compiler) fail(field, value, remedy string) {
	c.errs = append(c.errs, fmt.Errorf("%s: invalid value %q: %s", field, value, remedy))
}

func (c *compiler) rule(at, peersAt string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) Rule {
	r := Rule{}
	if len(peers) > 0 {
		r.Peers = make([]Peer, 0, len(peers))
	}
	for i := range peers {
		r.Peers = append(r.Peers, c.peer(fmt.Sprintf("%s[%d]", peersAt, i), &peers[i]))
	}
	if len(ports) > 0 {
		r.Ports = make([]PortMatch, 0, len(ports))
	}
	for i := range ports {
		r.Ports = append(r.Ports, c.port(fmt.Sprintf("%s.ports[%d]", at, i), &ports[i]))
	}
	return r
}

func (c *compiler) peer(at string, p *networkingv1.NetworkPolicyPeer) Peer {
	if p.IPBlock != nil {
		if p.PodSelector != nil || p.NamespaceSelector != nil {
			c.fail(at, "ipBlock with selectors", "ipBlock stands alone; give selectors an item of their own")
		}
		return Peer{Block: c.block(at+".ipBlock", p.IPBlock)}
	}
	if p.PodSelector == nil && p.NamespaceSelector == nil {
		c.fail(at, "{}", "set ipBlock, podSelector or namespaceSelector")
		return Peer{}
	}
	out := Peer{}
	if p.NamespaceSelector != nil {
		s := c.selector(at+".namespaceSelector", p.NamespaceSelector)
		out.Namespaces = &s
	}
	if p.PodSelector != nil {
		s := c.selector(at+".podSelector", p.PodSelector)
		out.Pods = &s
	}
	return out
}

func (c *compiler) block(at string, b *networkingv1.IPBlock) *IPBlock {
	cidr := c.prefix(at+".cidr", b.CIDR)
	out := &IPBlock{CIDR: cidr}
	for i, e := range b.Except {
		field := fmt.Sprintf("%s.except[%d]", at, i)
		x := c.prefix(field, e)
		if cidr.IsValid() && x.IsValid() && (x.Bits() <= cidr.Bits() || !cidr.Contains(x.Addr())) {
			c.fail(field, e, "an exception has to be a strict part of "+b.CIDR)
		}
		out.Except = append(out.Except, x)
	}
	return out
}

// prefix reads a CIDR as the API server does: sloppily, because stored objects may carry leading zeros in IPv4, host
// bits beyond the mask, and IPv4 ranges written as IPv4-mapped IPv6, which count as the IPv4 range.
func (c *compiler) prefix(at, s string) netip.Prefix {
	_, n, err := netutils.ParseCIDRSloppy(s)
	if err != nil {
		c.fail(at, s, "use a CIDR such as 10.0.0.0/8 or fd00::/8")
		return netip.Prefix{}
	}
	addr, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	if addr.Is4In6() && ones >= mappedBits {
		return netip.PrefixFrom(addr.Unmap(), ones-mappedBits)
	}
	return netip.PrefixFrom(addr, ones)
}

func (c *compiler) port(at string, p *networkingv1.NetworkPolicyPort) PortMatch {
	out := PortMatch{Protocol: corev1.ProtocolTCP}
	if p.Protocol != nil {
		out.Protocol = *p.Protocol
	}
	if !slices.Contains([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, out.Protocol) {
		c.fail(at+".protocol", string(out.Protocol), "use TCP, UDP or SCTP")
	}
	switch {
	case p.Port == nil:
		if p.EndPort != nil {
			c.fail(at+".endPort", fmt.Sprint(*p.EndPort), "needs a numeric port to start from")
		}
	case p.Port.Type == intstr.String:
		out.Name = p.Port.StrVal
		for _, problem := range validation.IsValidPortName(out.Name) {
			c.fail(at+".port", out.Name, "a port name "+problem)
		}
		if p.EndPort != nil {
			c.fail(at+".endPort", fmt.Sprint(*p.EndPort), "cannot go with a named port")
		}
	default:
		out.Number = c.portNumber(at+".port", p.Port.IntVal)
		out.End = out.Number
		if p.EndPort != nil {
			out.End = c.portNumber(at+".endPort", *p.EndPort)
			if out.End < out.Number {
				c.fail(at+".endPort", fmt.Sprint(*p.EndPort), fmt.Sprintf("has to be at least the port, %d", out.Number))
			}
		}
	}
	return out
}

func (c *compiler) portNumber(at string, n int32) uint16 {
	if n < 1 || n > 65535 {
		c.fail(at, fmt.Sprint(n), "use a port from 1 to 65535")
		return 0
	}
	return uint16(n)
}

func (c *compiler) selector(at string, s *metav1.LabelSelector) Selector {
	sel, err := CompileSelector(*s)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", at, err))
	}
	return sel
}
