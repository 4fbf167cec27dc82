package guardrails

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dnsCut: a pod that uses the cluster's resolver could reach it over UDP before the change and cannot after, judged on
// the union of the policies that select it. New pods and templates that would start without DNS are told so. Without
// a known resolver nothing is said.
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
judged like any other policy: it passes where DNS is already allowed. Pods that were cut off before the change are left alone.`,
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
	port := dnsPortText(r, corev1.ProtocolUDP)
	v := policy.Violation{
		Field: "spec.egress", Live: live, Affected: policy.Affect(workloads),
		Headline: fmt.Sprintf("%s would lose DNS", policy.Plural(policy.LivePods(workloads), "live pod")),
		Detail:   fmt.Sprintf("%s lose DNS: no egress rule reaches %s on %s", policy.Count(workloads), r.Name(), port),
	}
	subject := metav1.LabelSelector{}
	switch {
	case c.NewWorkload != nil:
		v.Field = labelsField(c)
		v.Detail = fmt.Sprintf("%s have no DNS: no policy that selects them allows %s on %s", policy.Count(workloads), r.Name(), port)
		if live {
			v.Detail = fmt.Sprintf("%s loses DNS with these labels: no egress rule reaches %s on %s", policy.Names(workloads), r.Name(), port)
		}
		subject = identify(c.NewWorkload)
	case c.NewPolicy == nil:
		v.Field = ""
		v.Detail = fmt.Sprintf("deleting %s cuts DNS of %s: no other egress rule reaches %s on %s", c.Name, policy.Count(workloads), r.Name(), port)
		subject = c.OldPolicy.Subject.Source()
	default:
		v.Reason = fmt.Sprintf("%s, none reaches %s on %s", ruleCount(len(c.NewPolicy.Rules[netpol.Egress])), r.Name(), port)
		subject = c.NewPolicy.Subject.Source()
	}
	v.Fix = dnsFix(c, subject, r)
	return []policy.Violation{v}
}

// dnsFix adds the DNS rule to a policy that has egress rules already, and puts a policy before any other change.
func dnsFix(c *policy.Change, subject metav1.LabelSelector, r *cluster.Resolver) *policy.Fix {
	if c.Object != nil && len(c.Object.Spec.Egress) > 0 {
		rule := resolverRule(r)
		fixed := c.Object.DeepCopy()
		fixed.Spec.Egress = append(fixed.Spec.Egress, rule)
		return &policy.Fix{Say: "add under spec.egress:", YAML: paste([]networkingv1.NetworkPolicyEgressRule{rule}), Instead: fixed}
	}
	name := "allow-dns"
	if c.Before.Policy(c.Namespace, name) != nil {
		name = "allow-dns-for-" + c.Name
	}
	first := allowDNS(c.Namespace, subject, r)
	first.Name = name
	return &policy.Fix{Say: "apply this policy first:", YAML: paste(first), First: []*networkingv1.NetworkPolicy{first}}
}
