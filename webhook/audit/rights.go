package audit

import (
	"github.com/openreports/reports-api/apis/openreports.io/v1alpha1"

	"github.com/bulkhead-dev/bulkhead/policy/audit/openreports"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// LeaseRights are what the election needs: one Lease. "create" cannot be narrowed to a name.
func LeaseRights(namespace, name string) []webhook.Right {
	const group, resource = "coordination.k8s.io", "leases"
	return []webhook.Right{
		{Verb: "create", Group: group, Resource: resource, Namespace: namespace},
		{Verb: "get", Group: group, Resource: resource, Namespace: namespace, Name: name},
		{Verb: "update", Group: group, Resource: resource, Namespace: namespace, Name: name},
	}
}

// ReportRights are what writing reports needs. All are of one name, and server-side apply asks for "create" with the name.
func ReportRights() []webhook.Right {
	var out []webhook.Right
	for _, resource := range []string{clusterReports, reports} {
		out = append(out, webhook.Right{Verb: "list", Group: v1alpha1.GroupName, Resource: resource})
		for _, verb := range []string{"create", "delete", "patch"} {
			out = append(out, webhook.Right{Verb: verb, Group: v1alpha1.GroupName, Resource: resource, Name: openreports.Name})
		}
	}
	return out
}

const (
	reports        = "reports"
	clusterReports = "clusterreports"
)
