package guardrails

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// WithoutDNS reports whether the pods of the workload, which side covers, ask the cluster's resolver, are isolated for egress and
// cannot reach it over UDP. It is what dns-cut holds against a change, told of a cluster as it is. Where no resolver is known it
// is false.
func WithoutDNS(w *cluster.Workload, side *policy.Coverage, r *cluster.Resolver) bool {
	return r.Known() && w.ClusterDNS() && side.Isolated(netpol.Egress) && !reachesResolver(side, r, corev1.ProtocolUDP)
}
