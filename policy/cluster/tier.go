package cluster

import "github.com/bulkhead-dev/bulkhead/policy/netpol"

// SetTierPolicy adds or replaces a cluster-wide policy.
func (b *Builder) SetTierPolicy(p *netpol.TierPolicy) {
	b.DeleteTierPolicy(p.Kind, p.Name)
	b.tiers[p.Kind+"/"+p.Name], b.retier = p, true
	b.countForeign(perPodSet(p.PodKeys()), 1)
}

// DeleteTierPolicy removes a cluster-wide policy.
func (b *Builder) DeleteTierPolicy(kind, name string) {
	key := kind + "/" + name
	if p := b.tiers[key]; p != nil {
		b.countForeign(perPodSet(p.PodKeys()), -1)
		delete(b.tiers, key)
		b.retier = true
	}
}

// ReplaceTierPolicies makes policies all cluster-wide policies of the kind.
func (b *Builder) ReplaceTierPolicies(kind string, policies []*netpol.TierPolicy) {
	have := map[string]bool{}
	for _, p := range policies {
		have[p.Name] = true
		b.SetTierPolicy(p)
	}
	for _, p := range b.tiers {
		if p.Kind == kind && !have[p.Name] {
			b.DeleteTierPolicy(kind, p.Name)
		}
	}
}
