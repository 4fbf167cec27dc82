package render

import (
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// The ways in which a node can be isolated. The first four are bits: 1 for ingress, 2 for egress.
const (
	open = iota
	isolatedIngress
	isolatedEgress
	isolatedBoth
	// beyond is what NetworkPolicies do not reach: pods on the host network.
	beyond
)

// way says how a node is isolated.
func way(n *connectivity.Node) int {
	if n.HostNetwork {
		return beyond
	}
	return openness(n)
}

// openness says in which directions a node is isolated, in bits.
func openness(n *connectivity.Node) int {
	bits := open
	if n.Isolated[netpol.Ingress] {
		bits |= isolatedIngress
	}
	if n.Isolated[netpol.Egress] {
		bits |= isolatedEgress
	}
	return bits
}

// wayText says in words how a workload is isolated.
func wayText(way int) string {
	return [...]string{"open", "isolated for ingress only", "isolated for egress only", "isolated", "on the host network"}[way]
}
