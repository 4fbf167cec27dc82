package guardrails

import (
	"fmt"
	"iter"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// hostNetworkPeer: the policy or one of its peers selects pods, and all of them use their node's network. What plugins make of
// that is not known, so it never denies. An update is not blamed for the selectors that it found there.
var hostNetworkPeer = policy.Guardrail{
	Slug:          "hostnetwork-peer",
	Summary:       "a selector matches only pods on the network of their node",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true, // and no violation is Live
	NewParameters: func() any { return &hostNetworkPeerParameters{} },
	Check:         checkHostNetworkPeer,
	Documentation: policy.Documentation{
		Why: `Pods with ` + "`hostNetwork`" + ` have their node's address. Most network plugins cannot tell their traffic from the node's:
no policy isolates them, and no selector peer matches them. Node exporters and many ingress controllers run like this, and a rule
that lets them in by their labels lets nobody in.`,
		Judged: `The policy's ` + "`podSelector`" + ` and each selector peer, in the directions that ` + "`policyTypes`" + ` names, against the live pods
and the pod templates of the namespaces that they mean: are there any, and do all of them use the host's network? One other pod
among them is enough to say nothing. Left alone are rules for port 53 alone where the resolver's pods are known, and what the
stored policy had already. It never denies, as plugins differ: where the plugin is known, the words name it. Set ` + "`pluginMatches`" + `
where yours matches such pods. A policy whose
selectors would take more than 200,000 comparisons is not judged to the end.`,
		Bad: `# the pods of ingress-nginx run with hostNetwork: true
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 192.0.2.0/24}}] # the nodes' addresses
`,
		Fix: `Let the nodes in or out by an ` + "`ipBlock`" + ` of their addresses. To shut off pods on the host's network use what guards the
node itself.`,
	},
}

// hostNetworkPeerParameters are what the config may set for hostnetwork-peer.
type hostNetworkPeerParameters struct {
	// PluginMatches says that the cluster's network plugin applies policies and selectors to pods on the host's network.
	PluginMatches bool `json:"pluginMatches"`
}

func checkHostNetworkPeer(c *policy.Change, parameters any) []policy.Violation {
	n := c.After.Network()
	if parameters.(*hostNetworkPeerParameters).PluginMatches || n.HostNetworkPods == cluster.Yes {
		return nil
	}
	isolate, match := "most CNIs never isolate", "most CNIs never match"
	if n.HostNetworkPods == cluster.No {
		isolate, match = n.Name()+" never isolates", n.Name()+" never matches"
	}
	var out []policy.Violation
	budget := maxLookedAt
	own := &netpol.Peer{Pods: &c.NewPolicy.Subject}
	if c.OldPolicy == nil || c.OldPolicy.Subject.String() != own.Pods.String() {
		if found := onlyOnHosts(c, own, &budget); len(found) > 0 {
			out = append(out, policy.Violation{
				Field: "spec.podSelector", Affected: policy.Affect(found), Headline: "a policy would apply to no pod",
				Detail: fmt.Sprintf("podSelector matches only hostNetwork pods (%s); %s them", hostPods(found), isolate),
			})
		}
	}
	for at := range newPeers(c, peerKey) {
		found := onlyOnHosts(c, at.peer, &budget)
		if budget < 0 || len(out) == maxDeadPeers {
			break
		}
		if len(found) == 0 {
			continue
		}
		count := ""
		if tellsNumbers(c, at.peer) {
			count = " (" + hostPods(found) + ")"
		}
		says := fmt.Sprintf("matches only hostNetwork pods%s; %s them, use ipBlock", count, match)
		out = append(out, policy.Violation{
			Field: "spec." + at.String(), Headline: "a peer would match no pod", Detail: at.String() + " " + says, Reason: says,
		})
	}
	return out
}

// onlyOnHosts gives the workloads that the peer selects where all of them use the host's network. It lowers budget by those
// that it looks at, and finds nothing once that is used up.
func onlyOnHosts(c *policy.Change, p *netpol.Peer, budget *int) []*cluster.Workload {
	var found []*cluster.Workload
	for w := range peerWorkloads(c.After, c.Namespace, p, budget) {
		if !w.HostNetwork {
			return nil
		}
		found = append(found, w)
	}
	if *budget < 0 {
		return nil
	}
	if policy.LivePods(found) > 0 { // their templates say nothing that they do not say
		found = slices.DeleteFunc(found, func(w *cluster.Workload) bool { return w.Template })
	}
	return found
}

// peerWorkloads yields the workloads and templates that a selector peer of a policy of the namespace own matches, those on the
// host's network included. It lowers budget by those that it looks at and ends below 0.
func peerWorkloads(s *cluster.Snapshot, own string, p *netpol.Peer, budget *int) iter.Seq[*cluster.Workload] {
	return func(yield func(*cluster.Workload) bool) {
		var f finder
		if p.Pods != nil {
			f = find(*p.Pods)
		}
		for n := range s.PeerNamespaces(own, p) {
			for w := range candidates(s, n) {
				if *budget--; *budget < 0 {
					return
				}
				if (p.Pods == nil || f.finds(w)) && !yield(w) {
					return
				}
			}
		}
	}
}

// hostPods counts the pods, or the templates where nothing runs.
func hostPods(workloads []*cluster.Workload) string {
	if n := policy.LivePods(workloads); n > 0 {
		return fmt.Sprint(n)
	}
	return policy.Plural(len(workloads), "template")
}

// tellsNumbers reports whether a message may count the peer's pods: they are of the policy's own namespace, or of namespaces
// that the request names by the value of a label.
func tellsNumbers(c *policy.Change, p *netpol.Peer) bool {
	return p.Namespaces == nil || c.Disclose || slices.ContainsFunc(demands(*p.Namespaces), demandsValue)
}
