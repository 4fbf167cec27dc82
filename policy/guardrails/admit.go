package guardrails

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// anyAdmitted reports whether the side's ingress lets some of the pods in.
func anyAdmitted(s *cluster.Snapshot, pods []foundPods, side *policy.Coverage, port netpol.Port) bool {
	return slices.ContainsFunc(pods, func(p foundPods) bool { return side.Admits(netpol.Ingress, s.Endpoint(p.Workload), port) })
}

// anyConnected reports whether some of the pods can connect: their own egress lets them out, and the side's ingress in.
func anyConnected(s *cluster.Snapshot, pods []foundPods, side *policy.Coverage, port netpol.Port) bool {
	return slices.ContainsFunc(pods, func(p foundPods) bool {
		from := s.Endpoint(p.Workload)
		return side.Admits(netpol.Ingress, from, port) &&
			s.Tiers().Admitted(netpol.Egress, from, side.Endpoint, port, s.Policies(p.Namespace))
	})
}

// concerns reports whether the changed policy has a say in direction d, before or after the change.
func concerns(c *policy.Change, d netpol.Direction) bool {
	return c.OldPolicy != nil && c.OldPolicy.Isolates[d] || c.NewPolicy != nil && c.NewPolicy.Isolates[d]
}

// mayLoseIngress reports whether the change may shut the subject's port to somebody, without asking to whom. It spares most
// changes the search for pods elsewhere. Nothing is lost where a rule admits everybody, or an ipBlock: whether it holds the
// addresses of the pods that connect is not known.
func mayLoseIngress(c *policy.Change, s *policy.Subject, port netpol.Port) bool {
	if c.After.Tiers() != nil {
		return !allowsBlock(&s.After, netpol.Ingress, port.Protocol, port.Number, anyBlock)
	}
	return s.After.Isolated(netpol.Ingress) &&
		(!s.Before.Isolated(netpol.Ingress) || hasIngressRule(&s.Before, port, func(*netpol.Rule) bool { return true })) &&
		!hasIngressRule(&s.After, port, func(r *netpol.Rule) bool {
			return len(r.Peers) == 0 || slices.ContainsFunc(r.Peers, func(p netpol.Peer) bool { return p.Block != nil })
		})
}

// hasIngressRule reports whether a rule of the side's policies admits somebody on the port for which match holds.
func hasIngressRule(side *policy.Coverage, port netpol.Port, match func(*netpol.Rule) bool) bool {
	return slices.ContainsFunc(side.Policies, func(p *netpol.Policy) bool {
		return p.Isolates[netpol.Ingress] && slices.ContainsFunc(p.Rules[netpol.Ingress], func(r netpol.Rule) bool {
			return r.MatchesPort(side.Endpoint, port) && match(&r)
		})
	})
}

// losesIngress reports whether the change shuts the subject's ingress to the last of the pods that could connect before. The
// caller has asked mayLoseIngress.
func losesIngress(c *policy.Change, s *policy.Subject, pods []foundPods, port netpol.Port) bool {
	return !slices.ContainsFunc(pods, func(p foundPods) bool { return isItself(p, s.Workload) }) &&
		!anyAdmitted(c.After, pods, &s.After, port) && anyConnected(c.Before, pods, &s.Before, port)
}

// isItself reports whether the workload is the one pod found, or its template: what a pod sends to itself no policy stops.
func isItself(p foundPods, w *cluster.Workload) bool {
	made := w.Template && p.Namespace == w.Namespace && p.Kind == w.Kind && p.Name == w.Name
	return p.Pods == 1 && (made || p.Same(w))
}

// admitFix lets the rules' peers in to the subjects, which are pods behind the Services: in the changed policy where it has
// rules already and selects no other pods, else in a policy of its own that is applied before the change.
func admitFix(c *policy.Change, cut []*policy.Subject, services []*cluster.Service, name string, rules []networkingv1.NetworkPolicyIngressRule) *policy.Fix {
	return restoreIngress(c, cut, selectCut(c, cut, netpol.Ingress, selectorsOf(services)), name, rules)
}

// selectorsOf are the selectors of the Services.
func selectorsOf(services []*cluster.Service) []labels.Set {
	var out []labels.Set
	for _, s := range services {
		out = append(out, s.Selector)
	}
	return out
}

// selectCut selects the subjects by the labels where there is one set of them and all pods that have those are isolated in
// direction d after the change, so that a policy isolates none beside them. Else it selects them by their own labels.
func selectCut(c *policy.Change, cut []*policy.Subject, d netpol.Direction, by []labels.Set) metav1.LabelSelector {
	if len(by) == 1 {
		open := false
		selector := by[0].AsSelectorPreValidated()
		for _, w := range c.After.Candidates(c.After.Namespace(c.Namespace)) {
			open = open || !w.HostNetwork && selector.Matches(w.Labels) &&
				!netpol.Isolated(d, c.After.Endpoint(w), c.After.Policies(c.Namespace))
		}
		if !open {
			return metav1.LabelSelector{MatchLabels: by[0]}
		}
	}
	if narrow, ok := identifyAll(workloadsOf(cut)); ok {
		return narrow
	}
	return selectorFor(c, cut, d)
}

// referredPort finds the port of the Service that a reference names by number or by name.
func referredPort(svc *cluster.Service, ref intstr.IntOrString) (port cluster.ServicePort, ok bool) {
	for _, p := range svc.Ports {
		if ref.Type == intstr.Int && int32(p.Number) == ref.IntVal || ref.Type == intstr.String && p.Name == ref.StrVal {
			return p, true
		}
	}
	return cluster.ServicePort{}, false
}
