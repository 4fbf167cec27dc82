package guardrails

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// ipBlockInCluster: an ipBlock is aimed at the range of pods or Services, and the network plugin does not match those by
// ipBlock, or it is not known whether it does. Ranges that hold the cluster's beside others are not aimed at it.
var ipBlockInCluster = policy.Guardrail{
	Slug:          "ipblock-in-cluster",
	Summary:       "an ipBlock aims at the range of pods or Services",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true, // and no violation is Live
	Needs:         []cluster.Resource{cluster.Nodes, cluster.ServiceCIDRs},
	Check:         checkIPBlockInCluster,
	Documentation: policy.Documentation{
		Why: `The API says that an ` + "`ipBlock`" + ` is for addresses outside the cluster. Pods change theirs with each restart, Cilium does
not compare pods with CIDRs unless told to, and by the time most plugins look at a connection the address of a Service has become that of a pod. A
rule for those ranges allows nothing, or what it allows changes from day to day.`,
		Judged: `Each ` + "`ipBlock`" + `, in the directions that ` + "`policyTypes`" + ` names, that the stored policy did not have: does it lie in the range
of pods or of Services, or is it that range? The ranges are those of the nodes and the ServiceCIDRs, or ` + "`network.podRanges`" + ` and
` + "`network.serviceRanges`" + ` of the config. Nodes know their own parts only; so a range that holds all of them, no node and no
Service counts as the range of pods, if it has at least 14 bits of prefix (48 for IPv6) and is none of the private networks as a
whole. Wider ranges, such as 10.0.0.0/8 and 0.0.0.0/0, are not aimed at the cluster. Left alone are the first two addresses of a
node's range, which are the node's own, and the DNS Service's address where a cache on the nodes listens on it. Nothing is said of
pods where the plugin matches them by ipBlock, as Calico and Antrea do, nor of Services where it compares their own addresses, as
the agent of the AWS VPC CNI does. It never denies.`,
		Bad: `# 10.244.0.0/16 is the range of pods
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 10.244.0.0/16}}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
`,
		Fix: `Select pods by ` + "`podSelector` and `namespaceSelector`" + `; for a Service select the pods behind it, on their own port.`,
	},
}

func checkIPBlockInCluster(c *policy.Change, _ any) []policy.Violation {
	n := c.After.Network()
	hit, _ := policy.Worse(selectedSubjects(c))
	var out []policy.Violation
	for _, d := range netpol.Directions {
		old := peerKeys(c.OldPolicy, d, peerKey)
		for _, at := range ranges(c.NewPolicy, d) {
			if at.item < 0 || old[peerKey(&at.at().Peers[at.item])] || len(out) == maxDeadPeers {
				continue
			}
			why := aimedAtPods(c, n, at.block())
			if why == "" {
				why = aimedAtServices(c, n, d, at.block())
			}
			if why == "" {
				continue
			}
			out = append(out, policy.Violation{
				Field: at.field(), Headline: "a rule would be for addresses inside the cluster", Reason: why,
				Detail: at.String() + " " + why, Affected: policy.Affect(hit),
			})
		}
	}
	return out
}

// aimedAtPods says what is wrong with a block that is aimed at pods; "" where it is not, or the plugin matches them so.
func aimedAtPods(c *policy.Change, n *cluster.Network, b *netpol.IPBlock) string {
	if n.PodsByBlock == cluster.Yes {
		return ""
	}
	is := ""
	switch {
	case within(n.PodRanges, b.CIDR) && !ownAddress(c, b.CIDR):
		is = "is in the pod range"
		if isOneOf(n.PodRanges, b.CIDR) {
			is = "is the pod range"
		}
	case !n.PodRangesConfigured && wholePodRange(c, n, b.CIDR):
		is = "is the pod range"
	default:
		return ""
	}
	if n.PodsByBlock == cluster.No {
		return fmt.Sprintf("%s %s; %s never matches pods by ipBlock, use selectors", b.CIDR, is, n.Name())
	}
	return fmt.Sprintf("%s %s; some CNIs never match pods by ipBlock, use selectors", b.CIDR, is)
}

// aimedAtServices is aimedAtPods for Services.
func aimedAtServices(c *policy.Change, n *cluster.Network, d netpol.Direction, b *netpol.IPBlock) string {
	if !within(n.ServiceRanges, b.CIDR) || cachedDNS(c.After.Resolver(), b.CIDR) {
		return ""
	}
	is := "is in the Service range"
	if isOneOf(n.ServiceRanges, b.CIDR) {
		is = "is the Service range"
	}
	switch {
	case d == netpol.Ingress:
		return fmt.Sprintf("%s %s; no connection comes from a Service's address, use selectors", b.CIDR, is)
	case n.AfterTranslation == cluster.Yes:
		return fmt.Sprintf("%s %s; %s after Service DNAT, use selectors of its pods", b.CIDR, is, policySays(n, "matches"))
	case n.AfterTranslation == cluster.No:
		return ""
	}
	return fmt.Sprintf("%s %s; most CNIs match after Service DNAT, use selectors of its pods", b.CIDR, is)
}
