package guardrails

import (
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// cniInert: the network plugin enforces no NetworkPolicy, or none that does is found. It is the cluster's fault and not the
// change's, so it is for the platform team: with its default action it goes to the audit log with each policy that is created,
// and a report of many changes has it once.
var cniInert = policy.Guardrail{
	Slug:          "cni-inert",
	Summary:       "the cluster's network plugin enforces no NetworkPolicy",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Audit,
	LiveOnly:      true, // and no violation is Live
	Once:          true,
	Needs:         []cluster.Resource{cluster.Nodes},
	Check:         checkCNIInert,
	Documentation: policy.Documentation{
		Why: `The API server stores NetworkPolicies whether anybody enforces them or not. With Flannel alone, or with the AWS VPC CNI
and its network policy agent off, ` + "`kubectl apply`" + ` succeeds, ` + "`kubectl get`" + ` lists the policy, and every connection passes.`,
		Judged: `With each policy that is created: the DaemonSets of the namespaces where network plugins are installed
(` + "`kube-system`, `calico-system`, `kube-flannel`" + ` and their like). It is a violation where a plugin is found that enforces nothing,
and none that does: Flannel without Calico or its policy container, the AWS VPC CNI without ` + "`--enable-network-policy=true`" + `, Weave
Net without weave-npc, kube-router without its firewall, Cilium with policies off, kindnet before it had them. It also is one where
` + "`kube-system`" + ` has DaemonSets and no plugin is among them, as with kubenet. Flannel beside Calico's policies enforces. k3s enforces
by itself, unless told otherwise, so nothing is said of it. Where no DaemonSet is seen at all nothing is known and nothing is said.
Set ` + "`network.plugin`" + ` in the config where the plugin runs outside the cluster.

It speaks of the cluster and not of the change. The audit log has it with each new policy, so that none is taken for enforced;
an update finds things as they were. ` + "`bulkhead lint`" + ` says it at most once in a run, and only where its action is Warn or Deny.
It never denies.`,
		Bad: `# in a cluster with Flannel alone
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`,
		Good: `# the same policy, with Calico's policies beside Flannel
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
`,
		Fix: `Install a plugin that enforces NetworkPolicy, or switch enforcement on in the one that is there. Calico runs beside Flannel
for policies alone; the AWS VPC CNI has ` + "`enableNetworkPolicy`" + `; Flannel's chart has ` + "`netpol.enabled`" + `.`,
	},
}

func checkCNIInert(c *policy.Change, _ any) []policy.Violation {
	if c.Operation != policy.Create {
		return nil // the stored policy had no effect either
	}
	n := c.After.Network()
	why, verb := "", "are"
	switch {
	case n.Enforces == cluster.No:
		why = enforcesNothing(n)
	case len(n.Plugins) == 0 && n.Searched:
		why, verb = "no network plugin that enforces NetworkPolicy is found", "may be"
	default:
		return nil
	}
	policies := "this policy and all others"
	if c.Disclose { // the number tells of other namespaces
		policies = "all " + policy.Plural(c.After.Stats().Policies, "policy")
		if c.After.Stats().Policies == 1 {
			policies, verb = "this policy", strings.Replace(verb, "are", "is", 1)
		}
	}
	return []policy.Violation{{
		Headline: "policies would have no effect in this cluster",
		Detail:   fmt.Sprintf("%s: %s %s stored and ignored", why, policies, verb),
	}}
}

// enforcesNothing says which plugins were found and enforce nothing.
func enforcesNothing(n *cluster.Network) string {
	var names []string
	for _, p := range n.Plugins {
		names = append(names, string(p))
	}
	verb := "does not enforce NetworkPolicy"
	if len(names) > 1 {
		verb = "do not enforce NetworkPolicy"
	}
	return strings.Join(names, " and ") + " " + verb
}
