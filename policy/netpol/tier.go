package netpol

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Tier is a place above or below NetworkPolicy in the order in which policies are asked.
// Source: policy.networking.k8s.io, ClusterNetworkPolicySpec.tier.
type Tier int

// The tiers of cluster-wide policies: Admin is asked before NetworkPolicy, Baseline after it and only for pods that no
// NetworkPolicy isolates.
const (
	AdminTier Tier = iota
	BaselineTier
)

// String gives the tier as the API writes it.
func (t Tier) String() string {
	if t == BaselineTier {
		return "Baseline"
	}
	return "Admin"
}

// TierAction is what a rule of a tier does with a connection that it matches.
type TierAction string

// Accept and Deny are final; Pass leaves the tier for the next one. Source: ClusterNetworkPolicyRuleAction.
const (
	Accept TierAction = "Accept"
	Deny   TierAction = "Deny"
	Pass   TierAction = "Pass"
)

// TierPolicy is a compiled cluster-wide policy: a ClusterNetworkPolicy, an AdminNetworkPolicy or the
// BaselineAdminNetworkPolicy. It is never changed.
type TierPolicy struct {
	Kind, Name string
	Tier       Tier
	// Priority is the precedence within the tier: lower values are asked first.
	Priority int32
	// Namespaces and Pods select the subject; Pods nil selects all pods of those namespaces.
	Namespaces Selector
	Pods       *Selector
	// Rules hold the rules by Direction; the first that matches a connection decides.
	Rules [2][]TierRule
}

// TierRule is one rule of a TierPolicy.
type TierRule struct {
	// Name is for people; it may be empty.
	Name   string
	Action TierAction
	// Peers are combined by OR. None matches nothing, except that Everyone matches every peer.
	Peers []Peer
	// Everyone is set where the rule holds a peer of a kind that Bulkhead does not know: the API documentation wants such a
	// rule to fail closed.
	Everyone bool
	// Ports are combined by OR. Empty matches every port of every protocol.
	Ports []PortMatch
}

// MatchesPeer reports whether the rule's from or to matches e.
func (r *TierRule) MatchesPeer(e Endpoint) bool {
	return r.Everyone || slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.matchesTier(e) })
}

// matchesTier is Matches for a peer of a tier. Networks concern pods as well: "if you Accept or Deny traffic to
// 0.0.0.0/0, that will allow or deny all IPv4 pod-to-pod traffic as well". A pod whose address is not known counts as
// an IPv4 pod somewhere, so only that network is sure to hold it.
func (p *Peer) matchesTier(e Endpoint) bool {
	if p.Block != nil && e.selectable() && len(e.Addresses) == 0 {
		return p.Block.CIDR.Bits() == 0 && p.Block.CIDR.Addr().Is4()
	}
	return p.Matches("", e)
}

// MatchesPort reports whether the rule's ports match port on the destination.
func (r *TierRule) MatchesPort(destination Endpoint, port Port) bool {
	return (&Rule{Ports: r.Ports}).MatchesPort(destination, port)
}

// Selects reports whether e is among the pods that the policy applies to: "host-networked pods are not included".
func (p *TierPolicy) Selects(e Endpoint) bool {
	return e.Governed() && p.Namespaces.Matches(e.NamespaceLabels) && (p.Pods == nil || p.Pods.Matches(e.Labels))
}

// PodKeys lists the pod label keys that the policy's selectors read, each once.
func (p *TierPolicy) PodKeys() []string {
	var keys []string
	if p.Pods != nil {
		keys = p.Pods.Keys()
	}
	for _, rules := range p.Rules {
		for i := range rules {
			for _, peer := range rules[i].Peers {
				if peer.Pods != nil {
					keys = append(keys, peer.Pods.Keys()...)
				}
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Tiers are the cluster-wide policies by Tier, each tier in the order in which it is asked. A nil *Tiers is a cluster
// without any.
type Tiers struct{ Policies [2][]*TierPolicy }

// NewTiers sorts the policies into their tiers; it gives nil where there are none. The API leaves open which of two
// policies of equal priority is asked first; here it is the first by kind and name.
func NewTiers(policies []*TierPolicy) *Tiers {
	if len(policies) == 0 {
		return nil
	}
	t := &Tiers{}
	for _, p := range policies {
		t.Policies[p.Tier] = append(t.Policies[p.Tier], p)
	}
	for _, tier := range t.Policies {
		slices.SortFunc(tier, func(a, b *TierPolicy) int {
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
		})
	}
	return t
}

// Selecting gives the policies of a tier that select e, in the order in which they are asked.
func (t *Tiers) Selecting(tier Tier, e Endpoint) []*TierPolicy {
	if t == nil {
		return nil
	}
	var out []*TierPolicy
	for _, p := range t.Policies[tier] {
		if p.Selects(e) {
			out = append(out, p)
		}
	}
	return out
}

// decide gives the action of the first rule of the tier that matches, Pass where none does.
func (t *Tiers) decide(tier Tier, d Direction, subject, peer Endpoint, port Port) TierAction {
	if t == nil {
		return Pass
	}
	destination := peer
	if d == Ingress {
		destination = subject
	}
	for _, p := range t.Policies[tier] {
		if !p.Selects(subject) {
			continue
		}
		for i := range p.Rules[d] {
			if r := &p.Rules[d][i]; r.MatchesPort(destination, port) && r.MatchesPeer(peer) {
				return r.Action
			}
		}
	}
	return Pass
}

// Admitted is the function Admitted with the tiers around it: the Admin tier may decide first, NetworkPolicy "always
// makes a final decision for selected pods", and the Baseline tier decides for the others.
func (t *Tiers) Admitted(d Direction, subject, peer Endpoint, port Port, policies []*Policy) bool {
	if t == nil {
		return Admitted(d, subject, peer, port, policies)
	}
	if action := t.decide(AdminTier, d, subject, peer, port); action != Pass {
		return action == Accept
	}
	if Isolated(d, subject, policies) {
		return Admitted(d, subject, peer, port, policies)
	}
	return t.decide(BaselineTier, d, subject, peer, port) != Deny
}

// Connects is the function Connects with the tiers around it.
func (t *Tiers) Connects(from, to Endpoint, port Port, egress, ingress []*Policy) bool {
	if samePod(from, to) || residentNode(from, to) {
		return true
	}
	return t.Admitted(Egress, from, to, port, egress) && t.Admitted(Ingress, to, from, port, ingress)
}

// anyProtocol gives a port name on every protocol: the tiers' named ports say none.
func anyProtocol(name string) []PortMatch {
	return []PortMatch{
		{Protocol: corev1.ProtocolTCP, Name: name}, {Protocol: corev1.ProtocolUDP, Name: name}, {Protocol: corev1.ProtocolSCTP, Name: name},
	}
}
