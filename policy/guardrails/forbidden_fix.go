package guardrails

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// fix excepts the ranges from the spot's ipBlock, or removes it where it lies within one. What is tried mends the other
// ipBlocks of the policy too: each of them has a violation that says its own part.
func (p *forbiddenParameters) fix(c *policy.Change, shown *spot) *policy.Fix {
	fixed := c.Object.DeepCopy()
	f := &policy.Fix{Instead: fixed}
	for _, d := range netpol.Directions {
		for _, at := range slices.Backward(ranges(c.NewPolicy, d)) { // so that what is removed moves nothing that comes
			if at.item < 0 {
				continue
			}
			block, removed := p.mend(&at, &fixed.Spec)
			switch {
			case at != *shown:
			case removed:
				f.Say = "remove spec." + at.String()
			default:
				f.Say = fmt.Sprintf("write in spec.%s:", place{at.direction, at.rule, at.item, nil})
				f.YAML = pasteable.YAML(map[string]*networkingv1.IPBlock{"ipBlock": block})
			}
		}
	}
	return f
}

// mend takes the forbidden ranges out of the spot's ipBlock in spec, or the whole item out of its rule.
func (p *forbiddenParameters) mend(at *spot, spec *networkingv1.NetworkPolicySpec) (block *networkingv1.IPBlock, removed bool) {
	b := at.block()
	except := slices.Clone(b.Except)
	for _, r := range p.Ranges {
		both, ok := common(b.CIDR, r.CIDR)
		if !ok || len(held(b, r.CIDR)) == 0 {
			continue
		}
		except = append(except, both)
	}
	if len(except) == len(b.Except) {
		return nil, false
	}
	if len(withoutAll([]netip.Prefix{b.CIDR}, except)) == 0 {
		removePeer(at, spec)
		return nil, true
	}
	block = (place{at.direction, at.rule, at.item, nil}).in(spec).IPBlock
	block.Except = nil
	for i, x := range except {
		if !inAnother(except, i) {
			block.Except = append(block.Except, x.String())
		}
	}
	return block, false
}

// removePeer takes the spot's peer out of spec, and the rule with its last one: without peers it would allow everyone.
func removePeer(at *spot, spec *networkingv1.NetworkPolicySpec) {
	if at.direction == netpol.Ingress {
		r := &spec.Ingress[at.rule]
		if r.From = slices.Delete(r.From, at.item, at.item+1); len(r.From) == 0 {
			spec.Ingress = slices.Delete(spec.Ingress, at.rule, at.rule+1)
		}
		return
	}
	r := &spec.Egress[at.rule]
	if r.To = slices.Delete(r.To, at.item, at.item+1); len(r.To) == 0 {
		spec.Egress = slices.Delete(spec.Egress, at.rule, at.rule+1)
	}
}
