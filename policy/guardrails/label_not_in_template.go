package guardrails

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// labelNotInTemplate: somebody labels a running pod, policies read that label, and the pod's template does not have it: the
// pod that takes this one's place will be without it.
var labelNotInTemplate = policy.Guardrail{
	Slug:          "label-not-in-template",
	Summary:       "a label that policies select on is on a pod and not in its template",
	On:            []policy.Trigger{policy.PodWrite},
	DefaultAction: config.Warn,
	NewParameters: func() any { return &temporaryParameters{Temporary: []string{"break-glass", "debug", "quarantine"}} },
	Check:         checkLabelNotInTemplate,
	Documentation: policy.Documentation{
		Why: `A label set on a running pod opens or closes connections at once, and is gone with the pod: after the next rollout
nobody knows why something stopped working that worked for weeks.`,
		Judged: `The labels that an update gives a pod, where the template of the Deployment, StatefulSet, DaemonSet or ReplicaSet that
made the pod has no such label or another value of it, and some policy's selectors match the pod for it: those of a policy
of the namespace, or, where the update cuts or opens connections, peers of any other policy and cluster-wide policies. Labels that Kubernetes sets anew
on each pod never count. Service accounts, nodes and the cluster's own components are not told: what an operator sets on its pods
by itself, such as the role of a database's replica, it sets again. Labels with a key in ` + "`temporary`" + `, with or without a
prefix before it, are there for a moment on purpose: ` + "`break-glass`" + `, ` + "`debug`" + ` and ` + "`quarantine`" + ` unless the
config says otherwise.`,
		Bad: `# kubectl label pod api-5d8f-x expose-metrics=true, which this policy reads and Deployment api lacks
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-scrape}
spec:
  podSelector: {matchLabels: {expose-metrics: "true"}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
    ports: [{protocol: TCP, port: 9090}]
`,
		Good: `apiVersion: apps/v1
kind: Deployment
metadata: {namespace: shop, name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api, expose-metrics: "true"}}
    spec: {containers: [{name: main, image: "example.com/api:1"}]}
`,
		Fix: "Set the label in the pod template of what made the pod; its rollout labels the pods.",
	},
}

// temporaryParameters are what the config may set for label-not-in-template.
type temporaryParameters struct {
	// Temporary lists the keys of labels that are set on running pods on purpose. A key may hold * and ?; one without a
	// prefix stands for the same key behind any prefix too.
	Temporary []string `json:"temporary"`
}

// Validate reports keys that are empty or no pattern.
func (p *temporaryParameters) Validate(at *field.Path) field.ErrorList {
	return validatePatterns(p.Temporary, at.Child("temporary"), "a label key")
}

func (p *temporaryParameters) temporary(key string) bool {
	return matchesAny(p.Temporary, key) || matchesAny(p.Temporary, key[strings.LastIndex(key, "/")+1:])
}

func checkLabelNotInTemplate(c *policy.Change, parameters any) []policy.Violation {
	if c.OldWorkload == nil || len(c.Subjects) == 0 || unattended(c.Requester.Name) {
		return nil
	}
	template := templateOf(c)
	if template == nil {
		return nil
	}
	p := parameters.(*temporaryParameters)
	var lost []string
	for _, k := range changedKeys(c.OldWorkload.Labels, c.NewWorkload.Labels) {
		v, set := c.NewWorkload.Labels[k]
		was, inTemplate := template.Labels[k]
		if !set || inTemplate && was == v || cluster.PerPodKey(k) || strings.HasPrefix(k, nodeLabels) || p.temporary(k) {
			continue
		}
		if policiesRead(c, k, template.Labels) {
			lost = append(lost, k)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	s := &c.Subjects[0]
	maker := template.Kind + " " + template.Name
	return []policy.Violation{{
		Field: "metadata.labels", Live: s.Live(), Affected: policy.Affect(workloadsOf([]*policy.Subject{s})),
		Detail: lostWords(c, lost, template, maker),
		Fix: &policy.Fix{
			Say: fmt.Sprintf("set %s in the pod template of %s instead", labelList(lost, c.NewWorkload.Labels), maker), Labels: withoutKeys(c, lost),
		},
	}}
}

// nodeLabels begin the keys that the API server copies from its node to each pod when the pod is bound.
// Source: the admission plugin PodTopologyLabels, Kubernetes 1.33.
const nodeLabels = "topology.kubernetes.io/"

// unattended reports whether the user is a program that does again what it did: a service account, a node or a component of
// the cluster. Source: kubernetes.io/docs/reference/access-authn-authz, names of users.
func unattended(user string) bool {
	return slices.ContainsFunc([]string{"system:serviceaccount:", "system:node:", "system:kube-"}, func(prefix string) bool {
		return strings.HasPrefix(user, prefix)
	})
}

// templateOf gives the template from which the pod was made, nil where the snapshot has none and where pods are not made
// anew: those of Jobs end by themselves.
func templateOf(c *policy.Change) *cluster.Workload {
	n := c.After.Namespace(c.Namespace)
	w := c.NewWorkload
	if n == nil || w.Kind == "Job" || w.Kind == "CronJob" {
		return nil
	}
	i := slices.IndexFunc(n.Templates, func(t *cluster.Workload) bool { return t.Kind == w.Kind && t.Name == w.Name })
	if i < 0 {
		return nil
	}
	return n.Templates[i]
}

// lostWords says what the template has instead: "label a=b is not in Deployment api; the next rollout loses it".
func lostWords(c *policy.Change, lost []string, template *cluster.Workload, maker string) string {
	now := labelList(lost, c.NewWorkload.Labels)
	if len(lost) > 1 {
		return fmt.Sprintf("labels %s are not in %s; the next rollout loses them", now, maker)
	}
	if was, other := template.Labels[lost[0]]; other {
		return fmt.Sprintf("label %s is %s=%s in %s; the next rollout loses it", now, lost[0], was, maker)
	}
	return fmt.Sprintf("label %s is not in %s; the next rollout loses it", now, maker)
}
