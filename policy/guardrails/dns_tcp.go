package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// dnsTCP: after the change a pod reaches the resolver over UDP and not over TCP, in the union of the policies that
// select it. A pod of which that was so before the change is left alone, and so is a resolver that serves no TCP.
var dnsTCP = policy.Guardrail{
	Slug:          "dns-tcp",
	Summary:       "DNS is allowed over UDP and not over TCP",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkDNSTCP,
	Documentation: policy.Documentation{
		Why: `A DNS answer that does not fit into a UDP datagram is asked for again over TCP, which RFC 7766 makes every client do.
With UDP alone, names with many addresses or long TXT records fail, and only those: a fault that shows up months later.`,
		Judged: `The pods that the policy selects, before or after, if they ask the cluster's resolver: does the union of their
policies let UDP reach it and not TCP? A rule for TCP in another policy, or in another rule, counts. A pod that had UDP alone
before the change is left alone.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}]
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
		Fix: `List TCP beside UDP in the ports of the DNS rule.`,
	},
}

func checkDNSTCP(c *policy.Change, _ any) []policy.Violation {
	r := c.After.Resolver()
	servesTCP := func(b cluster.ResolverBackend) bool { return b.TCP != 0 }
	if len(r.Local) == 0 && !slices.ContainsFunc(r.Backends, servesTCP) {
		return nil
	}
	udpOnly := func(side *policy.Coverage) bool {
		return reachesResolver(side, r, corev1.ProtocolUDP) && !reachesResolver(side, r, corev1.ProtocolTCP)
	}
	var hit []*policy.Subject
	for i := range c.Subjects {
		if s := &c.Subjects[i]; s.Workload.ClusterDNS() && udpOnly(&s.After) && !udpOnly(&s.Before) {
			hit = append(hit, s)
		}
	}
	if len(hit) == 0 {
		return nil
	}
	workloads, live := policy.Worse(hit)
	udp, tcp := dnsPortText(r, corev1.ProtocolUDP), dnsPortText(r, corev1.ProtocolTCP)
	v := policy.Violation{
		Field: "spec.egress", Live: live, Affected: policy.Affect(workloads),
		Detail: fmt.Sprintf("%s can ask DNS on %s only; large answers need %s", policy.Count(workloads), udp, tcp),
		Fix:    dnsFix(c, hit, r),
	}
	if i := udpRule(c, r); i >= 0 {
		fixed := c.Object.DeepCopy()
		rule := &fixed.Spec.Egress[i]
		for _, port := range resolverPorts(r) {
			if *port.Protocol == corev1.ProtocolTCP {
				rule.Ports = append(rule.Ports, port)
			}
		}
		v.Field = fmt.Sprintf("spec.egress[%d].ports", i)
		v.Fix = &policy.Fix{
			Say: fmt.Sprintf("in spec.egress[%d]:", i), Instead: fixed,
			YAML: pasteable.YAML(map[string][]networkingv1.NetworkPolicyPort{"ports": rule.Ports}),
		}
	}
	return []policy.Violation{v}
}

// udpRule finds the rule of the new policy that lets UDP reach the resolver's pods; -1 where none does by itself.
func udpRule(c *policy.Change, r *cluster.Resolver) int {
	if !c.NewPolicy.Isolates[netpol.Egress] {
		return -1
	}
	return slices.IndexFunc(c.NewPolicy.Rules[netpol.Egress], func(rule netpol.Rule) bool {
		return slices.ContainsFunc(r.Backends, func(b cluster.ResolverBackend) bool {
			return rule.MatchesPort(b.Endpoint, netpol.Port{Protocol: corev1.ProtocolUDP, Number: b.UDP}) &&
				rule.MatchesPeer(c.Namespace, b.Endpoint)
		})
	})
}
