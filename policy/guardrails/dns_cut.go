package guardrails

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// dnsCut: a pod that uses the cluster's resolver could reach it over UDP before the change and cannot after, judged on
// the union of the policies that select it; or a change of the resolver's own policies makes it refuse pods that it
// answered before. New pods and templates that would start without DNS are told so. Without a known resolver nothing
// is said.
var dnsCut = policy.Guardrail{
	Slug:          "dns-cut",
	Summary:       "pods lose the cluster's DNS resolver",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Check:         checkDNSCut,
	Documentation: policy.Documentation{
		Why: `Isolating pods for egress also cuts DNS. The pods stay Ready and fail on the next name they look up, after a
timeout of many seconds: the commonest outage that a NetworkPolicy causes.`,
		Judged: `The pods whose policies the change touches, if their ` + "`dnsPolicy`" + ` makes them ask the cluster's resolver and
they are not on the host's network. Before and after the change, does the union of all policies that select a pod let UDP
reach the resolver's pods on the port that they listen on, the DNS Service's address, or a node-local cache? A default-deny is
judged like any other policy: it passes where DNS is already allowed. Pods that were cut off before the change are left alone.
A rule for an ` + "`ipBlock`" + ` whose addresses cannot be compared, such as a link-local one, counts as DNS.

A change of the resolver's own policies is judged from the other side: does a live pod of the cluster that could ask the
resolver before get refused after? At most 500 workloads are tried, the policy's own namespace first.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Fix: `Allow DNS first, in a policy of its own that selects the same pods, then apply the policy that isolates them.`,
	},
}

func checkDNSCut(c *policy.Change, _ any) []policy.Violation {
	r := c.After.Resolver()
	if !r.Known() {
		return nil
	}
	return append(cutFromResolver(c, r), refusedByResolver(c, r)...)
}

// cutFromResolver finds the subjects whose own egress no longer reaches the resolver.
func cutFromResolver(c *policy.Change, r *cluster.Resolver) []policy.Violation {
	var cut []*policy.Subject
	for i := range c.Subjects {
		s := &c.Subjects[i]
		if s.Workload.ClusterDNS() && !reachesResolver(&s.After, r, corev1.ProtocolUDP) &&
			(!s.Existed || reachesResolver(&s.Before, r, corev1.ProtocolUDP)) {
			cut = append(cut, s)
		}
	}
	if len(cut) == 0 {
		return nil
	}
	workloads, live := policy.Worse(cut)
	none := fmt.Sprintf("no egress rule reaches %s on %s", r.Name(), dnsPortText(r, corev1.ProtocolUDP))
	v := policy.Violation{Live: live, Affected: policy.Affect(workloads)}
	effect := policy.Count(workloads) + " would have no DNS"
	if live {
		effect = policy.Count(workloads) + agree(workloads, " loses DNS", " lose DNS")
		v.Headline = policy.Plural(policy.LivePods(workloads), "live pod") + " would lose DNS"
	}
	switch {
	case c.NewWorkload != nil:
		v.Field, v.Detail = labelsField(c), fmt.Sprintf("%s would have no DNS: %s", policy.Names(workloads), none)
		if c.OldWorkload != nil {
			v.Detail = fmt.Sprintf("%s would lose DNS with these labels: %s", policy.Names(workloads), none)
		}
	case c.NewPolicy == nil:
		v.Detail = fmt.Sprintf("deleting %s cuts DNS of %s: %s",
			c.Name, policy.Count(workloads), strings.Replace(none, "no ", "no other ", 1))
	case !selectsAll(c.NewPolicy, workloads, c):
		v.Field, v.Detail = "spec.podSelector", fmt.Sprintf("%s: %s selects them no more and %s", effect, c.Name, none)
	case !c.NewPolicy.Isolates[netpol.Egress]:
		v.Field, v.Detail = "spec.policyTypes", fmt.Sprintf("%s: without Egress in policyTypes %s", effect, none)
	default:
		v.Field, v.Detail = "spec.egress", effect+": "+none
		v.Reason = fmt.Sprintf("%s %s on %s", rulesThatMiss(len(c.NewPolicy.Rules[netpol.Egress])), r.Name(), dnsPortText(r, corev1.ProtocolUDP))
	}
	v.Fix = dnsFix(c, cut, r)
	return []policy.Violation{v}
}

// dnsFix keeps the labels of a relabelled pod, adds the DNS rule to a policy that has egress rules already, and puts a
// policy of its own before any other change.
func dnsFix(c *policy.Change, cut []*policy.Subject, r *cluster.Resolver) *policy.Fix {
	if c.OldWorkload != nil {
		return keepLabels(c)
	}
	if c.Object != nil && len(c.Object.Spec.Egress) > 0 && selectsAll(c.NewPolicy, workloadsOf(cut), c) {
		if !c.NewPolicy.Isolates[netpol.Egress] {
			return nameDirection(c, netpol.Egress)
		}
		rule := resolverRule(r)
		fixed := c.Object.DeepCopy()
		fixed.Spec.Egress = append(fixed.Spec.Egress, rule)
		return &policy.Fix{Say: "add under spec.egress:", YAML: pasteable.YAML([]networkingv1.NetworkPolicyEgressRule{rule}), Instead: fixed}
	}
	first := allowDNS(c.Namespace, selectorFor(c, cut, netpol.Egress), r)
	first.Name = freeName(c, first.Name)
	return &policy.Fix{Say: "apply this policy first:", YAML: pasteable.YAML(first), First: []*networkingv1.NetworkPolicy{first}}
}
