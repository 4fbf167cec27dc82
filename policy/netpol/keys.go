package netpol

import "slices"

// PodKeys lists the pod label keys that the policy's selectors read, each once: own in the policy's own namespace,
// foreign in every namespace. Pods of a namespace that differ only in other keys are the same to the policy.
func (p *Policy) PodKeys() (own, foreign []string) {
	own = p.Subject.Keys()
	for _, rules := range p.Rules {
		for i := range rules {
			for _, peer := range rules[i].Peers {
				switch {
				case peer.Pods == nil:
				case peer.Namespaces == nil:
					own = append(own, peer.Pods.Keys()...)
				default:
					foreign = append(foreign, peer.Pods.Keys()...)
				}
			}
		}
	}
	slices.Sort(own)
	slices.Sort(foreign)
	return slices.Compact(own), slices.Compact(foreign)
}
