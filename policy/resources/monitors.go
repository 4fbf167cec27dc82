package resources

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

func serviceMonitor(o *monitoringv1.ServiceMonitor) *cluster.Extra {
	var endpoints []cluster.MonitorEndpoint
	for i := range o.Spec.Endpoints {
		e := &o.Spec.Endpoints[i]
		endpoints = append(endpoints, monitorEndpoint(e.Port, e.TargetPort))
	}
	return monitor(cluster.ServiceMonitors, "ServiceMonitor", o, o.Spec.Selector, o.Spec.NamespaceSelector, endpoints)
}

func podMonitor(o *monitoringv1.PodMonitor) *cluster.Extra {
	var endpoints []cluster.MonitorEndpoint
	for i := range o.Spec.PodMetricsEndpoints {
		e := &o.Spec.PodMetricsEndpoints[i]
		target := e.TargetPort //nolint:staticcheck // deprecated, and in use all the same
		if e.PortNumber != nil {
			number := intstr.FromInt32(*e.PortNumber)
			target = &number
		}
		port := ""
		if e.Port != nil {
			port = *e.Port
		}
		endpoints = append(endpoints, monitorEndpoint(port, target))
	}
	return monitor(cluster.PodMonitors, "PodMonitor", o, o.Spec.Selector, o.Spec.NamespaceSelector, endpoints)
}

func monitorEndpoint(port string, target *intstr.IntOrString) cluster.MonitorEndpoint {
	out := cluster.MonitorEndpoint{Port: port}
	if target != nil {
		out.Target = *target
	}
	return out
}

// monitor makes the Extra of a monitor; nil for one whose selector does not parse, which selects nothing.
func monitor(r cluster.Resource, kind string, o metav1.Object, pods metav1.LabelSelector, where monitoringv1.NamespaceSelector,
	endpoints []cluster.MonitorEndpoint,
) *cluster.Extra {
	selector, err := metav1.LabelSelectorAsSelector(&pods)
	if err != nil {
		return nil
	}
	keys := []string{o.GetNamespace()}
	switch {
	case where.Any:
		keys = []string{cluster.Everywhere}
	case len(where.MatchNames) > 0:
		keys = nil
		for _, name := range where.MatchNames {
			keys = appendNew(keys, name)
		}
	}
	return in(r, o, &cluster.Monitor{
		Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Selector: selector, Endpoints: endpoints,
	}, keys...)
}
