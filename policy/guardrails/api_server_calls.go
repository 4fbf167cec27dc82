package guardrails

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// meantForAll reports whether each port of the ingress rule is one on which the subject's pods are called from where no
// selector reaches: by the API server, or through a Service that takes connections from outside the cluster. A name that the
// pods have no port for opens none.
func meantForAll(x *exposures, s *policy.Subject, rule *netpol.Rule) bool {
	services := x.change.After.Namespace(x.change.Namespace).Services
	x.budget -= len(services)
	for i := range rule.Ports {
		m := &rule.Ports[i]
		if s.Workload != nil && m.Name != "" && !slices.ContainsFunc(s.Workload.Ports, func(p netpol.ContainerPort) bool {
			return p.Name == m.Name && p.Protocol == m.Protocol
		}) {
			continue
		}
		if !slices.ContainsFunc(services, func(svc *cluster.Service) bool { return calledThrough(x.change, s, svc, m) }) {
			return false
		}
	}
	return len(rule.Ports) > 0
}

// apiServerCalls is the Service port that the API server calls by default.
// Source: admissionregistration.k8s.io/v1 ServiceReference.port, apiregistration.k8s.io/v1 ServiceReference.port.
const apiServerCalls = 443

// calledThrough reports whether m is the target port, on the subject's pods, of a port of the Service that the API server may
// call or the outside may. Of pods to come the labels are taken to be those that the Service selects.
func calledThrough(c *policy.Change, s *policy.Subject, svc *cluster.Service, m *netpol.PortMatch) bool {
	if m.Number != m.End || m.Name == "" && m.Number == 0 {
		return false
	}
	w := &cluster.Workload{Namespace: c.Namespace, Labels: svc.Selector}
	if s.Workload != nil {
		w = s.Workload
	}
	if !serves(svc, w) || !c.NewPolicy.Selects(w.Endpoint(nil)) {
		return false
	}
	return slices.ContainsFunc(svc.Ports, func(p cluster.ServicePort) bool {
		if p.Protocol != m.Protocol || !svc.External && !webhookPort(p) {
			return false
		}
		target := p.TargetPort(w)
		return target != 0 && m.Matches(w.Endpoint(nil), netpol.Port{Protocol: p.Protocol, Number: target}) ||
			s.Workload == nil && m.Name != "" && m.Name == p.Target.StrVal
	})
}

// webhookPort reports whether the API server may call the Service's port.
func webhookPort(p cluster.ServicePort) bool {
	return p.Protocol == corev1.ProtocolTCP && (p.Number == apiServerCalls || strings.Contains(p.Name, "webhook"))
}

// serves reports whether the Service selects the workload's pods. One without a selector has endpoints kept by hand.
func serves(svc *cluster.Service, w *cluster.Workload) bool {
	for k, v := range svc.Selector {
		if have, ok := w.Labels[k]; !ok || have != v {
			return false
		}
	}
	return len(svc.Selector) > 0
}
