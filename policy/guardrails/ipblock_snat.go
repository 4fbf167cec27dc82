package guardrails

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// ipBlockSNAT: an ingress rule admits clients outside the cluster by their addresses, on a port to which a Service of type
// LoadBalancer or NodePort leads from outside, and the Service lets nodes put their own address in the place of the client's.
var ipBlockSNAT = policy.Guardrail{
	Slug:          "ipblock-snat",
	Summary:       "clients are admitted by addresses that their Service hides",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true, // and no violation is Live
	Needs:         []cluster.Resource{cluster.Nodes, cluster.ServiceCIDRs},
	NewParameters: func() any { return &ipBlockSNATParameters{} },
	Check:         checkIPBlockSNAT,
	Documentation: policy.Documentation{
		Why: `A connection from outside may reach any node, and the node passes it on to a pod of another one. So that the answer finds
back, the node writes its own address into it: the pod, and the rule, see a node and not the client. That is what
` + "`externalTrafficPolicy: Cluster`" + `, the default, means.`,
		Judged: `Each ` + "`ipBlock`" + ` of an ingress rule that the stored policy did not have, on the pods that the policy selects: does a
Service of type LoadBalancer or NodePort with ` + "`externalTrafficPolicy: Cluster`" + ` lead to a port that the rule allows? Nothing is
said where another Service, with ` + "`Local`" + `, leads there too, where the pods' rules admit the nodes on that port anyway, and where a
load balancer is told to send to the pods themselves. Left alone are ranges that hold the address of a node, that lie in the
cluster's ranges of pods or Services, or that hold every address; while no node is known, ranges that are not public as well, as
they may be the nodes'. Set ` + "`sourcePreserved`" + ` where load balancers or the network plugin keep the client's address, as with direct
server return. Some 200,000 pairs of pods and nodes are compared at most. It never denies.`,
		Bad: `# the Service web is of type LoadBalancer, with externalTrafficPolicy: Cluster
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{protocol: TCP, port: 8443}]
`,
		Good: `# the same policy, once the Service has externalTrafficPolicy: Local
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{protocol: TCP, port: 8443}]
`,
		Fix: `Set ` + "`externalTrafficPolicy: Local`" + ` on the Service, which keeps the client's address. Or let the nodes in, and bound the
clients at the load balancer, by ` + "`loadBalancerSourceRanges`" + `.`,
	},
}

// ipBlockSNATParameters are what the config may set for ipblock-snat.
type ipBlockSNATParameters struct {
	// SourcePreserved says that pods see the addresses of clients outside the cluster whatever a Service's
	// externalTrafficPolicy is, as with direct server return.
	SourcePreserved bool `json:"sourcePreserved"`
}

func checkIPBlockSNAT(c *policy.Change, parameters any) []policy.Violation {
	if parameters.(*ipBlockSNATParameters).SourcePreserved || !c.NewPolicy.Isolates[netpol.Ingress] {
		return nil
	}
	services := hidingServices(c)
	if len(services) == 0 {
		return nil
	}
	x := &hiddenClients{c, c.After.Nodes(), services, selectedSubjects(c), maxLookedAt}
	old := peerKeys(c.OldPolicy, netpol.Ingress, peerKey)
	var out []policy.Violation
	for _, at := range ranges(c.NewPolicy, netpol.Ingress) {
		if at.item < 0 || old[peerKey(&at.at().Peers[at.item])] || len(out) == maxDeadPeers || !x.isClients(at.block()) {
			continue
		}
		svc, hidden := x.by(at.at())
		if svc == nil {
			continue
		}
		why := fmt.Sprintf("Service %s uses externalTrafficPolicy=Cluster: pods see node IPs, %s will not match", svc.Name, at.block().CIDR)
		out = append(out, policy.Violation{
			Field: at.field(), Headline: "clients would not be recognised by their addresses", Reason: why,
			Detail: at.String() + ": " + why, Affected: policy.Affect(hidden),
		})
	}
	return out
}
