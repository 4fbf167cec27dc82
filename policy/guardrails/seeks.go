package guardrails

import (
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// The functions below are what guardrails tell of the pods that they seek in all namespaces.

// anyPod is for guardrails that compare the connections of all pods.
func anyPod(*cluster.Workload) bool { return true }

func seekCarriers(parameters any) func(*cluster.Workload) bool {
	var configured []gatewayController
	if p, ok := parameters.(*gatewayParameters); ok {
		configured = p.Controllers
	}
	descriptions := describeCarriers(configured)
	return func(w *cluster.Workload) bool { return mayBeCarrier(w, descriptions) }
}

func seekScrapers(parameters any) func(*cluster.Workload) bool {
	var descriptions []podsWith
	for _, s := range parameters.(*scrapeParameters).Scrapers {
		descriptions = append(descriptions, podsWith{s.Namespace, s.PodLabels})
	}
	return func(w *cluster.Workload) bool {
		for i := range descriptions {
			if descriptions[i].finds(w) {
				return true
			}
		}
		return false
	}
}

func seekTenants(parameters any) func(*cluster.Workload) bool {
	if parameters.(*tenantParameters).TenantLabel == "" {
		return nil
	}
	return anyPod
}

func seekAccess(parameters any) func(*cluster.Workload) bool {
	if len(parameters.(*accessParameters).Labels) == 0 {
		return nil
	}
	return anyPod
}

// seekAPIServers is for the API server's own pods and those through which it calls into the cluster.
func seekAPIServers(any) func(*cluster.Workload) bool {
	return func(w *cluster.Workload) bool {
		return w.Labels["component"] == apiServerComponent || w.Labels["k8s-app"] == tunnelAgent || w.Labels["app"] == tunnelAgent
	}
}
