package audit

import (
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// postureOf counts how well a namespace is isolated.
func postureOf(s *cluster.Snapshot, n *cluster.Namespace) Posture {
	covered := s.Coverage(n)
	out := Posture{Policies: len(n.Policies)}
	selects := make([]bool, len(n.Policies))
	for i := range covered.Workloads {
		w := &covered.Workloads[i]
		for _, at := range w.Policies {
			selects[at] = true
		}
		if !s.Endpoint(w.Workload).Governed() {
			out.Ungoverned += w.Pods
			continue
		}
		out.Pods += w.Pods
		for d, isolated := range w.Isolated {
			if isolated {
				out.Isolated[d] += w.Pods
			}
		}
		if w.Isolated[netpol.Egress] && withoutDNS(s, covered, w) {
			out.WithoutDNS += w.Pods
		}
	}
	for i, p := range n.Policies {
		for _, d := range netpol.Directions {
			out.DefaultDeny[d] = out.DefaultDeny[d] || deniesByDefault(p, d)
		}
		if !selects[i] && !selectsTemplate(s, n, p) {
			out.SelectNothing = append(out.SelectNothing, p.Name)
		}
	}
	return out
}

// deniesByDefault reports whether the policy isolates every pod of its namespace in direction d and admits nothing.
func deniesByDefault(p *netpol.Policy, d netpol.Direction) bool {
	return p.Isolates[d] && p.Subject.Everything() && len(p.Rules[d]) == 0
}

func withoutDNS(s *cluster.Snapshot, covered *cluster.Coverage, w *cluster.Covered) bool {
	side := policy.Coverage{Endpoint: s.Endpoint(w.Workload), Tiers: s.Tiers()}
	for _, at := range w.Policies {
		side.Policies = append(side.Policies, covered.Policies[at])
	}
	return guardrails.WithoutDNS(w.Workload, &side, s.Resolver())
}

func selectsTemplate(s *cluster.Snapshot, n *cluster.Namespace, p *netpol.Policy) bool {
	for _, w := range n.Templates {
		if p.Selects(s.Endpoint(w)) {
			return true
		}
	}
	return false
}
