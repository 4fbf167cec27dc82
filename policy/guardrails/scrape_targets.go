package guardrails

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// scrapeTarget is what asks for the scrapes of a workload's pods, and where.
type scrapeTarget struct {
	monitor *cluster.Monitor // nil for the annotation
	// ports of the pods. Of an annotation that names none it is one of them.
	ports []uint16
}

// scrapeTargets tells what of a namespace is scraped.
type scrapeTargets struct {
	monitors  []monitored
	annotated []*cluster.Service
}

// monitored is a monitor together with the Services that a ServiceMonitor selects.
type monitored struct {
	*cluster.Monitor
	services []*cluster.Service
}

func scrapeTargetsIn(s *cluster.Snapshot, n *cluster.Namespace) *scrapeTargets {
	x := &scrapeTargets{}
	for _, m := range s.Monitors(n.Name) {
		of := monitored{Monitor: m}
		for _, svc := range n.Services {
			if m.Kind == serviceMonitor && m.Selector.Matches(svc.Labels()) {
				of.services = append(of.services, svc)
			}
		}
		if m.Kind != serviceMonitor || len(of.services) > 0 {
			x.monitors = append(x.monitors, of)
		}
	}
	for _, svc := range n.Services {
		if svc.Scraped {
			x.annotated = append(x.annotated, svc)
		}
	}
	return x
}

const serviceMonitor = "ServiceMonitor"

// of lists the scrapes that are asked for of the workload's pods.
func (x *scrapeTargets) of(w *cluster.Workload) []scrapeTarget {
	var out []scrapeTarget
	add := func(m *cluster.Monitor, ports ...uint16) {
		ports = slices.DeleteFunc(ports, func(p uint16) bool { return p == 0 })
		if len(ports) > 0 {
			out = append(out, scrapeTarget{m, ports})
		}
	}
	for _, m := range x.monitors {
		for _, e := range m.Endpoints {
			if m.Kind != serviceMonitor {
				if m.Selector.Matches(w.Labels) {
					add(m.Monitor, podPort(w, e))
				}
				continue
			}
			for _, svc := range m.services {
				if serves(svc, w) {
					add(m.Monitor, behindService(svc, w, e))
				}
			}
		}
	}
	for _, svc := range x.annotated {
		if !serves(svc, w) {
			continue
		}
		if svc.ScrapePort != 0 {
			add(nil, svc.ScrapePort)
			continue
		}
		var ports []uint16
		for _, p := range svc.Ports {
			if p.Protocol == corev1.ProtocolTCP {
				ports = append(ports, p.TargetPort(w))
			}
		}
		add(nil, ports...)
	}
	for _, u := range w.Uses() {
		switch {
		case u.Scraped && u.ScrapePort != 0:
			add(nil, u.ScrapePort)
		case u.Scraped:
			add(nil, declaredPorts(w)...)
		}
	}
	return out
}

// behindService resolves the endpoint of a ServiceMonitor on a pod: by the name of the Service's port, or by the pod's own
// port. 0 is none.
func behindService(svc *cluster.Service, w *cluster.Workload, e cluster.MonitorEndpoint) uint16 {
	if e.Port == "" {
		return podPort(w, e)
	}
	for _, p := range svc.Ports {
		if p.Name == e.Port && p.Protocol == corev1.ProtocolTCP {
			return p.TargetPort(w)
		}
	}
	return 0
}

// podPort resolves the endpoint of a monitor on a pod by the number or the name of its port, 0 where it has none such.
func podPort(w *cluster.Workload, e cluster.MonitorEndpoint) uint16 {
	name := e.Port
	if name == "" {
		if e.Target.Type == intstr.Int {
			return uint16(e.Target.IntVal)
		}
		name = e.Target.StrVal
	}
	for _, p := range w.Ports {
		if name != "" && p.Name == name && p.Protocol == corev1.ProtocolTCP {
			return p.Number
		}
	}
	return 0
}

func declaredPorts(w *cluster.Workload) []uint16 {
	var out []uint16
	for _, p := range w.Ports {
		if p.Protocol == corev1.ProtocolTCP {
			out = append(out, p.Number)
		}
	}
	return out
}
