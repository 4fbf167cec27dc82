package guardrails

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// worldChecker judges one change.
type worldChecker struct {
	exposures
	public publicSpace
}

// worldRule is one rule for public addresses on all ports of some protocol.
type worldRule struct {
	exposure
	rule   int
	blocks []netip.Prefix // that allow more than was allowed before
	public []netip.Prefix // what they allow
	world  bool           // with the other rules of some pods they add up to the internet
}

// wholeProtocols gives of the rule's ports the protocols of which it allows all.
func wholeProtocols(r *netpol.Rule) connectivity.Ports {
	all := portsOf(r, netpol.Egress, nil).Ranges()
	return connectivity.PortsOf(slices.DeleteFunc(slices.Clone(all), func(p connectivity.PortRange) bool {
		return p.First > 1 || p.Last < lastPort
	})...)
}

// look judges one rule of the new policy.
func (x *worldChecker) look(d netpol.Direction, rule int) *worldRule {
	o := &worldRule{exposure: exposure{direction: d}, rule: rule}
	r := &x.change.NewPolicy.Rules[d][rule]
	whole := wholeProtocols(r)
	if whole.Empty() {
		return o
	}
	for i := range r.Peers {
		b := r.Peers[i].Block
		if b == nil {
			continue
		}
		if x.budget -= len(notPublic) + len(b.Except); x.budget < 0 {
			break
		}
		if public := x.public.part(b); len(public) > 0 && x.opens(o, allowance{public, whole}) {
			o.blocks, o.public = append(o.blocks, b.CIDR), append(o.public, public...)
		}
	}
	o.subjects = unique(o.subjects)
	return o
}

// opens adds to the rule the subjects for which a block of it allows more than was allowed before.
func (x *worldChecker) opens(o *worldRule, block allowance) (opens bool) {
	for _, group := range x.of(o.direction) {
		if x.budget--; x.budget < 0 || len(x.newlyAllowed(block, o.direction, group[0])) == 0 {
			continue
		}
		opens = true
		for _, s := range group {
			o.add(s)
		}
		o.world = o.world || x.budget >= 0 && x.public.whole(x.publicOf(group[0].After.Policies, o.direction, block.ports))
	}
	return opens
}

// publicOf gives the public addresses that some rule of the policies allows on all of the ports.
func (x *worldChecker) publicOf(policies []*netpol.Policy, d netpol.Direction, ports connectivity.Ports) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range policies {
		for _, at := range x.rangesOf(p, d) {
			b := at.block()
			if x.budget--; x.budget < 0 || b == nil || !ports.Minus(portsOf(at.at(), d, nil)).Empty() {
				continue
			}
			x.budget -= len(b.Except)
			out = append(out, x.public.part(b)...)
		}
	}
	return out
}

func (o *worldRule) violation(x *worldChecker) policy.Violation {
	c := x.change
	r := &c.NewPolicy.Rules[o.direction][o.rule]
	at := fmt.Sprintf("%s[%d]", o.direction.Field(), o.rule)
	v := o.exposure.violation("spec." + at)
	verb, port := "has", "any port"
	if len(o.blocks) > 1 {
		verb = "have"
	}
	lacks := verb + " no ports"
	if len(r.Ports) > 0 {
		whole := strings.ReplaceAll(wholeProtocols(r).String(), ", ", " and ")
		lacks, port = verb+" all "+whole+" ports", "any "+whole+" port"
	}
	reach := port + " of public addresses"
	switch {
	case x.public.whole(o.public):
		reach = "any host, " + port
	case o.world:
		reach = "with other rules any host, " + port
	}
	v.Headline = fmt.Sprintf("%s would be allowed %s", o.names(), reach)
	v.Reason = fmt.Sprintf("%s %s: %s (%s)", rangeNames(o.blocks, len(o.blocks)), lacks, reach, o.names())
	v.Detail = at + " " + v.Reason
	v.Fix = o.namePorts(c, r)
	return v
}

// httpsPort is what most servers outside a cluster are called on. Source: RFC 9110, section 4.2.2.
const httpsPort = 443

// namePorts gives the rule ports: those that the pods declare, or for egress the one that servers outside are called on. It
// knows no such fix where the rule has other peers too, or the pods declare nothing.
func (o *worldRule) namePorts(c *policy.Change, r *netpol.Rule) *policy.Fix {
	if len(o.blocks) != len(r.Peers) {
		return nil
	}
	at := fmt.Sprintf("spec.%s[%d]", o.direction.Field(), o.rule)
	fixed := c.Object.DeepCopy()
	if o.direction == netpol.Egress {
		ports := []networkingv1.NetworkPolicyPort{policyPort(corev1.ProtocolTCP, httpsPort)}
		fixed.Spec.Egress[o.rule].Ports = ports
		f := &policy.Fix{
			Say: "name the ports, such as in " + at + ":", YAML: pasteable.YAML(map[string]any{"ports": ports}), Instead: fixed,
		}
		if keepResolver(c, f) {
			f.Say = "name the ports, such as with DNS in spec:"
		}
		return f
	}
	var declared []connectivity.PortRange
	for _, s := range o.subjects {
		for _, p := range s.Workload.Ports {
			declared = append(declared, connectivity.PortRange{Protocol: p.Protocol, First: p.Number, Last: p.Number})
		}
	}
	var ports []networkingv1.NetworkPolicyPort
	for _, p := range connectivity.PortsOf(declared...).Ranges() {
		for n := int(p.First); n <= int(p.Last); n++ {
			ports = append(ports, policyPort(p.Protocol, uint16(n)))
		}
	}
	if len(ports) == 0 || len(ports) > maxShown {
		return nil
	}
	fixed.Spec.Ingress[o.rule].Ports = ports
	return &policy.Fix{
		Say: "name the ports; the pods declare these, for " + at + ":", YAML: pasteable.YAML(map[string]any{"ports": ports}), Instead: fixed,
	}
}
