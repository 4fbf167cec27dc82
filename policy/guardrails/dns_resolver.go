package guardrails

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dnsResolver: pods whose resolv.conf names a link-local address could reach it before the change and cannot after, although
// their rules reach the DNS Service or its pods. Those that reach none of it are dns-cut's. Whether a plugin filters what a pod
// sends to its own node is not known, so it never denies.
var dnsResolver = policy.Guardrail{
	Slug:          "dns-resolver",
	Summary:       "pods lose the node-local resolver that their resolv.conf names",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	DefaultAction: config.Warn,
	LiveOnly:      true, // and no violation is Live
	Check:         checkDNSResolver,
	Documentation: policy.Documentation{
		Why: `With a DNS cache on each node pods do not ask the pods of kube-dns but an address of their node, such as
169.254.20.10. No selector matches that: the rule that every tutorial shows lets queries to kube-dns pass, which nobody sends.`,
		Judged: `The pods whose policies the change touches, if they ask the cluster's resolver, in the union of all policies that select
a pod: could UDP reach the address that their ` + "`resolv.conf`" + ` names, or any link-local range on port 53, before the change, and
not after it? Known are link-local addresses of ` + "`resolver.addresses`" + ` in the config, and those of NodeLocal DNSCache where it
listens on nothing else, as with kube-proxy in IPVS mode. Where the cache listens on the DNS Service's address too, or gets the
queries redirected to it, as with Cilium's local redirect policies, pods ask the Service and nothing is said. Pods that reach
neither the address nor the resolver's pods are ` + "`dns-cut`" + `'s. It never denies: some plugins let pods reach their own node
whatever the policies say.`,
		Bad: `# the pods' resolv.conf names 169.254.20.10
apiVersion: networking.k8s.io/v1
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
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 169.254.20.10/32}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Fix: `Allow the address by an ` + "`ipBlock`" + ` on port 53, UDP and TCP.`,
	},
}

func checkDNSResolver(c *policy.Change, _ any) []policy.Violation {
	r := c.After.Resolver()
	if len(r.Asked) == 0 {
		return nil
	}
	var cut []*policy.Subject
	for i := range c.Subjects {
		s := &c.Subjects[i]
		if s.Workload.ClusterDNS() && !reachesLocal(&s.After, r, corev1.ProtocolUDP) && reachesLocal(&s.Before, r, corev1.ProtocolUDP) &&
			reachesResolver(&s.After, r, corev1.ProtocolUDP) {
			cut = append(cut, s)
		}
	}
	if len(cut) == 0 {
		return nil
	}
	workloads, live := policy.Worse(cut)
	asked := cluster.Resolver{Local: r.Asked}
	verb := "would resolve"
	if live {
		verb = agree(workloads, "resolves", "resolve")
	}
	v := policy.Violation{
		Field: "spec", Affected: policy.Affect(workloads), Fix: dnsFix(c, cut, &asked),
		Headline: "pods would lose their node-local resolver",
		Reason: fmt.Sprintf("%s %s via %s; pod selectors cannot match it, add that ipBlock on %d",
			policy.Count(workloads), verb, asked.Name(), dnsPort),
	}
	v.Detail = v.Reason
	switch {
	case c.NewPolicy == nil:
		v.Field, v.Detail, v.Reason = "", fmt.Sprintf("deleting %s: %s", c.Name, v.Reason), ""
	case c.NewPolicy.Isolates[netpol.Egress]:
		v.Field = "spec.egress"
	}
	return []policy.Violation{v}
}
