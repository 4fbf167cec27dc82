package cluster

import "net/netip"

// families are by familyOf the IP families of which some pod of a workload has an address.
type families [2]bool

// familyOf is 0 for IPv4 and 1 for IPv6; an IPv4-mapped IPv6 address counts as IPv4.
func familyOf(a netip.Addr) int {
	if a.Is4() || a.Is4In6() {
		return 0
	}
	return 1
}

// with gives the families of f and those of the pod's addresses.
func (f families) with(p *Pod) families {
	for _, a := range p.addresses {
		if a.IsValid() {
			f[familyOf(a)] = true
		}
	}
	return f
}

// DualStack reports whether the workload's pods have addresses of both IP families: one pod of both, or several. It is false
// for a template, and for pods that have no address yet. Pods that WithoutPod takes away and parts of a workload that a policy
// tells apart count as long as the snapshot has the workload.
func (w *Workload) DualStack() bool { return w.families == families{true, true} }
