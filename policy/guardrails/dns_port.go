package guardrails

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dnsPortUsed: an egress rule reaches the resolver's pods on the DNS Service's port alone, they answer on another one, and
// nothing else lets the policy's pods ask there. What the network plugin makes of it is known for some plugins only, so it
// never denies; pods that lose DNS are dns-cut's.
var dnsPortUsed = policy.Guardrail{
	Slug:          "dns-port",
	Summary:       "a DNS rule has the Service's port where the resolver's pods listen on another one",
	On:            []policy.Trigger{policy.PolicyWrite},
	Needs:         []cluster.Resource{cluster.Nodes}, // their version tells the plugin of some distributions
	DefaultAction: config.Warn,
	LiveOnly:      true, // and no violation is Live
	Check:         checkDNSPort,
	Documentation: policy.Documentation{
		Why: `Pods ask the DNS Service on port 53, and the Service translates that to the port on which its pods listen. Where that
is another one, such as 5353 on OpenShift, a rule for port 53 looks right and lets no query through.`,
		Judged: `Each egress rule whose peers match pods of the cluster's DNS Service: does it allow the Service's port, as a single
number, and not the port on which those pods answer? It is a violation where a pod that the policy selects, and that asks the
cluster's resolver, has no other rule in any of its policies that lets it ask. Rules that the stored policy had, as wrong as they
are, are left alone. Nothing is said where the network plugin compares rules with the Service's port, before translation, as the
agent of the AWS VPC CNI does. For a plugin of which that is not known a rule that allows the Service's own address counts as
reaching it, and the words are "most CNIs".`,
		Bad: `# OpenShift: the pods of openshift-dns/dns-default listen on 5353
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}
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
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}
    ports: [{protocol: UDP, port: 5353}, {protocol: TCP, port: 5353}]
`,
		Fix: `Name the port on which the resolver's pods listen, or its name, such as ` + "`dns`" + `.`,
	},
}

func checkDNSPort(c *policy.Change, _ any) []policy.Violation {
	r, n := c.After.Resolver(), c.After.Network()
	if len(r.Backends) == 0 || n.AfterTranslation == cluster.No || !c.NewPolicy.Isolates[netpol.Egress] {
		return nil
	}
	var out []policy.Violation
	for i := range c.NewPolicy.Rules[netpol.Egress] {
		rule := &c.NewPolicy.Rules[netpol.Egress][i]
		wrong := untranslated(c.Namespace, rule, r)
		if wrong == nil || untranslatedBefore(c, wrong, r) || len(out) == maxDeadPeers {
			continue
		}
		hit := askingNowhere(c, r, wrong.protocols, n.AfterTranslation)
		if len(hit) == 0 {
			continue
		}
		workloads, _ := policy.Worse(hit)
		who := "most CNIs match"
		if n.AfterTranslation == cluster.Yes {
			who = policySays(n, "matches")
		}
		why := fmt.Sprintf("%s listens on %s; %s after Service DNAT, so port %d never does",
			r.Name(), numberWords(wrong.targets), who, r.ServicePort)
		out = append(out, policy.Violation{
			Field: fmt.Sprintf("spec.egress[%d].ports", i), Headline: "a DNS rule would let no query through", Reason: why,
			Detail: fmt.Sprintf("egress[%d]: %s", i, why), Affected: policy.Affect(workloads), Fix: wrong.fix(c, i),
		})
	}
	return out
}

// policySays begins a sentence about what enforces: "cilium matches", "calico and weave match".
func policySays(n *cluster.Network, verb string) string {
	if len(n.Enforcers) > 1 {
		verb = "all match"
	}
	return n.Name() + " " + verb
}
