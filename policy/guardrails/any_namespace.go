package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// anyNamespaceIn: an ingress peer selects every namespace, and the rules that applied to the policy's pods before the change
// did not let all of that in. The resolver's pods and the configured shared services are there for every namespace.
var anyNamespaceIn = policy.Guardrail{
	Slug:          "any-namespace",
	Summary:       "an ingress rule lets the pods of every namespace in",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	NewParameters: func() any { return &sharedParameters{} },
	Check:         checkAnyNamespace,
	Documentation: policy.Documentation{
		Why: `An empty ` + "`namespaceSelector`" + ` selects every namespace, those of other teams and those to come among them. With a
` + "`podSelector`" + ` beside it, it lets in whoever gives a pod that label, anywhere.`,
		Judged: `Each ingress peer whose ` + "`namespaceSelector`" + ` is empty, or demands no more than the label that the API server sets on
every namespace, with a ` + "`podSelector`" + ` or without, unless the rules of the pods' policies let as much in before the change. With
the action Deny it denies only where running pods were isolated before.

Left alone are the pods of the cluster's DNS resolver, which everyone asks, and those of ` + "`shared`" + ` services. How many
namespaces there are the message tells only where the config discloses other namespaces. A policy that takes more than 200,000
comparisons is not judged to the end.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Fix: `Select the namespaces by name, ` + "`kubernetes.io/metadata.name`" + `, or by a label of their team. What every namespace uses belongs
in ` + "`shared`" + `.`,
	},
}

// sharedParameters are what the config may set for any-namespace.
type sharedParameters struct {
	// Shared lists services that pods of every namespace may use.
	Shared []sharedService `json:"shared"`
}

// sharedService is a service that pods of every namespace may use.
type sharedService struct {
	// Namespace of the service. Empty means all.
	Namespace string `json:"namespace"`
	// PodLabels that the service's pods carry, all of them. Empty means all pods.
	PodLabels map[string]string `json:"podLabels"`
}

// Validate reports services of which neither the namespace nor the labels are given.
func (p *sharedParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, s := range p.Shared {
		if s.Namespace == "" && len(s.PodLabels) == 0 {
			errs = append(errs, field.Required(path.Child("shared").Index(i), "write a namespace, podLabels or both"))
		}
	}
	return errs
}

// serves reports whether the subject's pods are there for every namespace: a shared service's or the resolver's.
func (p *sharedParameters) serves(c *policy.Change, s *policy.Subject) bool {
	if r := c.After.Resolver(); s.Workload != nil && c.Namespace == r.Namespace && len(r.Selector) > 0 &&
		labels.SelectorFromSet(r.Selector).Matches(s.Workload.Labels) {
		return true
	}
	return slices.ContainsFunc(p.Shared, func(x sharedService) bool {
		if x.Namespace != "" && x.Namespace != c.Namespace {
			return false
		}
		// Of pods to come nothing but the namespace is known.
		return len(x.PodLabels) == 0 || s.Workload != nil && labels.SelectorFromSet(x.PodLabels).Matches(s.Workload.Labels)
	})
}

func checkAnyNamespace(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*sharedParameters)
	if !c.NewPolicy.Isolates[netpol.Ingress] {
		return nil
	}
	x := &exposures{change: c, budget: maxLookedAt}
	var out []policy.Violation
	for i := range c.NewPolicy.Rules[netpol.Ingress] {
		rule := &c.NewPolicy.Rules[netpol.Ingress][i]
		for j := range rule.Peers {
			peer := &rule.Peers[j]
			if peer.Namespaces == nil || !selectsEveryNamespace(*peer.Namespaces) || len(out) == maxDeadPeers {
				continue
			}
			alone := &netpol.Rule{Peers: []netpol.Peer{*peer}, Ports: rule.Ports}
			e := x.by(netpol.Ingress, alone, func(s *policy.Subject) bool { return p.serves(c, s) })
			if e.found {
				out = append(out, anyNamespaceViolation(c, e, place{netpol.Ingress, i, j, peer}, alone))
			}
		}
	}
	return out
}

// selectsEveryNamespace reports whether the selector demands nothing but the label that every namespace has.
// Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
func selectsEveryNamespace(s netpol.Selector) bool {
	for _, r := range demands(s) {
		if r.Key() != corev1.LabelMetadataName || r.Operator() != selection.Exists {
			return false
		}
	}
	return true
}

func anyNamespaceViolation(c *policy.Change, e *exposure, at place, rule *netpol.Rule) policy.Violation {
	pods, selector := "pods", "{}"
	if p := at.peer.Pods; p != nil && !p.Everything() {
		pods += " " + p.Brief()
	}
	if !at.peer.Namespaces.Everything() {
		selector = at.peer.Namespaces.Brief()
	}
	reached := e.names() + rulePorts(rule)
	if len(e.subjects) > 0 && len(rule.Ports) == 1 && rule.Ports[0].Name == "" && !strings.Contains(reached, ",") {
		reached = e.names() + portWords(portsOf(rule, netpol.Ingress, nil))
	}
	v := e.violation("spec." + at.String() + ".namespaceSelector")
	v.Headline = fmt.Sprintf("%s of every namespace could reach %s", pods, reached)
	v.Reason = fmt.Sprintf("namespaceSelector %s lets %s of %s reach %s", selector, pods, allNamespaces(c), reached)
	v.Detail = at.String() + " " + v.Reason
	fixed := c.Object.DeepCopy()
	own := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: c.Namespace}}
	at.in(&fixed.Spec).NamespaceSelector = own
	v.Fix = selectorFix("spec."+at.String(), "namespaceSelector", own, fixed)
	v.Fix.Say = fmt.Sprintf("name the namespaces; for %s alone write in spec.%s:", c.Namespace, at)
	if pods != "pods" && !runsHere(c, at.peer) {
		v.Fix = &policy.Fix{Say: fmt.Sprintf("name the namespaces of %s in spec.%s", pods, at), Instead: fixed}
	}
	return v
}

// runsHere reports whether the policy's own namespace has pods or templates that the peer's podSelector matches.
func runsHere(c *policy.Change, peer *netpol.Peer) bool {
	budget := maxLookedAt
	_, found := lookFor(c, &netpol.Peer{Pods: peer.Pods}, &budget)
	return found
}

// allNamespaces counts the namespaces where the message may tell their number, and it is known: "all 31 namespaces".
func allNamespaces(c *policy.Change) string {
	if !c.Disclose || c.Partial {
		return "all namespaces"
	}
	return "all " + policy.Plural(c.After.Stats().Namespaces, "namespace")
}
