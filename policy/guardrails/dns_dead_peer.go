package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// dnsDeadPeer: an egress rule for DNS ports alone names pods, and none of them is the resolver's. A rule that reaches
// the resolver through another peer, ipBlocks, and pods that declare the rule's port (a resolver of one's own) are left
// alone, and so is a peer that the stored policy had in the same way.
var dnsDeadPeer = policy.Guardrail{
	Slug:          "dns-dead-peer",
	Summary:       "a DNS rule selects none of the resolver's pods",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkDNSDeadPeer,
	Documentation: policy.Documentation{
		Why: `A rule for port 53 looks as if DNS were allowed. If its selectors miss the resolver's pods it allows nothing, mostly
because namespaces carry ` + "`kubernetes.io/metadata.name`" + ` and not ` + "`name`" + `, or because a podSelector alone looks
in the policy's own namespace.`,
		Judged: `Each egress rule whose ports are all DNS ports: if none of its peers matches the pods of the cluster's DNS Service,
each of its selectors is a violation. It counts as hitting live pods, which an action of Deny needs, where pods that had DNS
before have it no more. Pods that declare the port themselves are taken for a resolver of their own.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-dns}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {name: kube-system}}
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
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`,
		Fix: `Select the resolver's namespace by ` + "`kubernetes.io/metadata.name`" + `, and its pods by the labels that the DNS Service
selects, both in one item of ` + "`to`" + `.`,
	},
}

func checkDNSDeadPeer(c *policy.Change, _ any) []policy.Violation {
	r := c.After.Resolver()
	if len(r.Backends) == 0 || !c.NewPolicy.Isolates[netpol.Egress] {
		return nil
	}
	var hit []*policy.Subject
	for i := range c.Subjects {
		s := &c.Subjects[i]
		if s.Workload.ClusterDNS() && !reachesResolver(&s.After, r, corev1.ProtocolUDP) && reachesResolver(&s.Before, r, corev1.ProtocolUDP) {
			hit = append(hit, s)
		}
	}
	workloads, live := policy.Worse(hit)
	old := peerKeys(c.OldPolicy, netpol.Egress, peerKey)
	var out []policy.Violation
	for i := range c.NewPolicy.Rules[netpol.Egress] {
		rule := &c.NewPolicy.Rules[netpol.Egress][i]
		if !isDNSRule(rule, r) || namesResolver(rule, c.Namespace, r) {
			continue
		}
		for j := range rule.Peers {
			peer := &rule.Peers[j]
			if peer.Block != nil || old[peerKey(peer)] || servesDNS(c, rule, peer) || len(out) == maxDeadPeers {
				continue
			}
			at := place{netpol.Egress, i, j, peer}
			selector, why := deadBecause(c, peer, r)
			fixed := c.Object.DeepCopy()
			*at.in(&fixed.Spec) = resolverPeer(r)
			out = append(out, policy.Violation{
				Field: fmt.Sprintf("spec.%s.%s", at, selector), Detail: fmt.Sprintf("%s: %s", at, why), Reason: why,
				Live: live, Affected: policy.Affect(workloads),
				Fix: &policy.Fix{
					Say: fmt.Sprintf("replace spec.%s with:", at), Instead: fixed,
					YAML: pasteable.YAML([]networkingv1.NetworkPolicyPeer{resolverPeer(r)}),
				},
			})
		}
	}
	return out
}

// namesResolver reports whether a peer of the rule is the resolver's pods, or an address that is or may be its.
func namesResolver(rule *netpol.Rule, namespace string, r *cluster.Resolver) bool {
	return slices.ContainsFunc(r.Backends, func(b cluster.ResolverBackend) bool { return rule.MatchesPeer(namespace, b.Endpoint) }) ||
		slices.ContainsFunc(rule.Peers, func(p netpol.Peer) bool {
			return p.Block != nil && (linkLocalBlock(p.Block) || slices.ContainsFunc(slices.Concat(r.Local, r.ServiceAddresses), p.Block.Contains))
		})
}

// servesDNS reports whether the peer matches pods or templates that declare a port of the rule: a resolver of one's own.
func servesDNS(c *policy.Change, rule *netpol.Rule, peer *netpol.Peer) bool {
	for n := range c.After.PeerNamespaces(c.Namespace, peer) {
		for _, w := range c.After.Candidates(n) {
			if peer.Pods != nil && !peer.Pods.Matches(w.Labels) {
				continue
			}
			e := c.After.Endpoint(w)
			if slices.ContainsFunc(w.Ports, func(p netpol.ContainerPort) bool {
				return rule.MatchesPort(e, netpol.Port{Protocol: p.Protocol, Number: p.Number})
			}) {
				return true
			}
		}
	}
	return false
}

// deadBecause says which selector misses the resolver's pods, and what it would have to say.
func deadBecause(c *policy.Change, peer *netpol.Peer, r *cluster.Resolver) (selector, why string) {
	home := corev1.LabelMetadataName + ": " + r.Namespace
	switch {
	case peer.Namespaces == nil && c.Namespace != r.Namespace:
		return "podSelector", fmt.Sprintf("looks in %s, DNS runs in %s; add namespaceSelector %s", c.Namespace, r.Namespace, home)
	case peer.Namespaces == nil || peer.Namespaces.Matches(c.After.NamespaceLabels(r.Namespace)):
		return "podSelector", fmt.Sprintf("%s matches no pod of %s; use %s", peer.Pods.Brief(), r.Name(), r.Selector)
	}
	for range c.After.SelectNamespaces(*peer.Namespaces) {
		return "namespaceSelector", fmt.Sprintf("%s leaves out %s, where DNS runs; use %s", peer.Namespaces.Brief(), r.Namespace, home)
	}
	return "namespaceSelector", fmt.Sprintf("no namespace has label %s; use %s", peer.Namespaces.Brief(), home)
}

// resolverPeer is the resolver's pods as a peer.
func resolverPeer(r *cluster.Resolver) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: r.Namespace}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: r.Selector},
	}
}
