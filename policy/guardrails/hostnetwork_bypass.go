package guardrails

import (
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// hostNetworkBypass: a pod or template on the host network is written in a namespace that requires isolation. No policy
// will ever govern it.
var hostNetworkBypass = policy.Guardrail{
	Slug:          "hostnetwork-bypass",
	Summary:       "a host-network pod in a namespace that requires isolation",
	On:            []policy.Trigger{policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Warn,
	NewParameters: func() any { return &hostNetworkParameters{Enrolled: defaultEnrollment()} },
	Check:         checkHostNetworkBypass,
	Documentation: policy.Documentation{
		Why: `A pod with ` + "`hostNetwork: true`" + ` uses its node's network, and no NetworkPolicy applies to it: it reaches whatever
the node reaches, its node's other services and the cloud's metadata address among it. The namespace's default-deny does not
show that.`,
		Judged: `The pods and pod templates written with ` + "`hostNetwork: true`" + ` in enrolled namespaces: those with the label
` + "`bulkhead.dev/default-deny`" + `; the parameter ` + "`enrolled`" + ` takes another label and its values. Agents of the network
plugin, of storage and of monitoring need the host's network: they live in namespaces that are not enrolled, or are listed in
` + "`agents`" + ` by the name of what makes them. A template or pod that was on the host network before the update is left alone.`,
		Bad: `# in a namespace labelled bulkhead.dev/default-deny: required
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: payments, name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      hostNetwork: true
      containers: [{name: main, image: "example.com/api:1"}]
`,
		Good: `apiVersion: apps/v1
kind: Deployment
metadata: {namespace: payments, name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers: [{name: main, image: "example.com/api:1", ports: [{containerPort: 8080}]}]
`,
		Fix: `Leave out ` + "`hostNetwork`" + `; a Service or a ` + "`hostPort`" + ` makes the pod reachable without it. What needs the host's
network belongs in a namespace that is not enrolled, or in ` + "`agents`" + `.`,
	},
}

// hostNetworkParameters are what the config may set for hostnetwork-bypass.
type hostNetworkParameters struct {
	// Enrolled says which namespaces require isolation.
	Enrolled enrollment `json:"enrolled"`
	// Agents lists by name the DaemonSets, Deployments and other makers of pods that may use the host's network. A name may
	// hold * and ?, as in csi-*.
	Agents []string `json:"agents"`
}

// Validate reports an enrollment that cannot be, and names that are empty or no pattern.
func (p *hostNetworkParameters) Validate(at *field.Path) field.ErrorList {
	return append(p.Enrolled.Validate(at.Child("enrolled")), validatePatterns(p.Agents, at.Child("agents"), "the name of a workload")...)
}

func checkHostNetworkBypass(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*hostNetworkParameters)
	w := c.NewWorkload
	if !w.HostNetwork || c.OldWorkload != nil && c.OldWorkload.HostNetwork || matchesAny(p.Agents, w.Name) || len(p.Enrolled.required(c)) == 0 {
		return nil
	}
	subject := "a hostNetwork pod is"
	if c.Trigger == policy.TemplateWrite {
		subject = "hostNetwork pods are"
	}
	return []policy.Violation{{
		Field: hostNetworkField(c), Affected: policy.Affect([]*cluster.Workload{w}),
		Detail: fmt.Sprintf("%s not subject to NetworkPolicy; %s requires isolation", subject, c.Namespace),
	}}
}

// hostNetworkField is where the reviewed pod or pod template names the host's network.
func hostNetworkField(c *policy.Change) string {
	switch {
	case c.Trigger == policy.PodWrite:
		return "spec.hostNetwork"
	case c.Kind == "CronJob":
		return "spec.jobTemplate.spec.template.spec.hostNetwork"
	}
	return "spec.template.spec.hostNetwork"
}

// matchesAny reports whether one of the patterns matches the name.
func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// validatePatterns reports patterns that are empty or none.
func validatePatterns(patterns []string, at *field.Path, what string) field.ErrorList {
	var errs field.ErrorList
	for i, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			errs = append(errs, field.Invalid(at.Index(i), pattern, "write "+what+", with * for any characters"))
		}
	}
	return errs
}
