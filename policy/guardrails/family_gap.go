package guardrails

import (
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// ipFamily is one of the two IP families.
type ipFamily struct {
	name string
	all  netip.Prefix
	// private are the ranges of the family for private networks. Sources: RFC 1918, RFC 4193.
	private []string
}

// ipFamilies gives the one family and then the other.
func ipFamilies() [2]ipFamily {
	return [2]ipFamily{
		{"IPv4", netip.MustParsePrefix("0.0.0.0/0"), []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}},
		{"IPv6", netip.MustParsePrefix("::/0"), []string{"fc00::/7"}},
	}
}

// gap is what one direction of the policy allows of one family and nothing allows of the other.
type gap struct {
	direction        netpol.Direction
	allowed, missing ipFamily
	spots            []spot // of the new policy, that allow every address of the one family
	subjects         []*policy.Subject
}

// find looks for the pods for which the gap is new, and the spots of the new policy that make it.
func (g *gap) find(c *policy.Change) {
	for _, at := range ranges(c.NewPolicy, g.direction) {
		if b := at.block(); b != nil && b.CIDR == g.allowed.all {
			g.spots = append(g.spots, at)
		}
	}
	made := make([]bool, len(g.spots))
	for _, s := range c.LiveSubjects() {
		if len(g.spots) == 0 || !s.Workload.DualStack() || !c.NewPolicy.Selects(s.After.Endpoint) {
			continue
		}
		opened := g.ports(&s.After).Minus(g.ports(&s.Before))
		hit := false
		for i := range g.spots {
			if !portsOf(g.spots[i].at(), g.direction, s.After.Endpoint.Ports).Intersect(opened).Empty() {
				made[i], hit = true, true
			}
		}
		if hit {
			g.subjects = append(g.subjects, s)
		}
	}
	var spots []spot
	for i := range g.spots {
		if made[i] {
			spots = append(spots, g.spots[i])
		}
	}
	g.spots = spots
}

// ports gives those on which the union allows every address of the one family and no range of the other.
func (g *gap) ports(side *policy.Coverage) connectivity.Ports {
	var one, other connectivity.Ports
	for _, p := range side.Policies {
		for _, at := range ranges(p, g.direction) {
			ports := portsOf(at.at(), g.direction, side.Endpoint.Ports)
			switch b := at.block(); {
			case b == nil:
				one, other = one.Union(ports), other.Union(ports)
			case b.CIDR == g.allowed.all:
				one = one.Union(ports)
			case b.CIDR.Addr().Is4() == g.missing.all.Addr().Is4():
				other = other.Union(ports)
			}
		}
	}
	return one.Minus(other)
}

func (g *gap) violation(c *policy.Change) policy.Violation {
	workloads, live := policy.Worse(g.subjects)
	return policy.Violation{
		Field: g.spots[0].field(), Live: live, Affected: policy.Affect(workloads), Fix: g.fix(c),
		Headline: fmt.Sprintf("%s of %s would be cut", g.missing.name, policy.Plural(policy.LivePods(workloads), "live pod")),
		Detail: fmt.Sprintf("%s pods present but %s allows only %s; %s of %s is cut (add %s)",
			g.missing.name, &g.spots[0], g.allowed.all, g.missing.name, policy.Count(workloads), g.missing.all),
	}
}

// fix allows every address of the other family beside each range. Where the range has exceptions, the private networks of the
// other family stay shut.
func (g *gap) fix(c *policy.Change) *policy.Fix {
	fixed := c.Object.DeepCopy()
	for i := range g.spots {
		peers := g.peers(&fixed.Spec, i)
		block := &networkingv1.IPBlock{CIDR: g.missing.all.String()}
		if len(g.spots[i].block().Except) > 0 {
			block.Except = g.missing.private
		}
		*peers = append(*peers, networkingv1.NetworkPolicyPeer{IPBlock: block})
	}
	peers := g.peers(&fixed.Spec, 0)
	f := &policy.Fix{
		Say:     fmt.Sprintf("write in spec.%s[%d]:", g.direction.Field(), g.spots[0].rule),
		YAML:    pasteable.YAML(map[string]any{peersField(g.direction): *peers}),
		Instead: fixed,
	}
	if n := len(g.spots) - 1; n > 0 {
		f.Say = fmt.Sprintf("add %s to %s in the same way, and write in spec.%s[%d]:",
			g.missing.all, policy.Plural(n, "more rule"), g.direction.Field(), g.spots[0].rule)
	}
	return f
}

// peers gives the list of spec that spot i is in.
func (g *gap) peers(spec *networkingv1.NetworkPolicySpec, i int) *[]networkingv1.NetworkPolicyPeer {
	if g.direction == netpol.Ingress {
		return &spec.Ingress[g.spots[i].rule].From
	}
	return &spec.Egress[g.spots[i].rule].To
}
