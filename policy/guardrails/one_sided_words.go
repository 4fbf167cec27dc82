package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

func oneSidedViolation(c *policy.Change, x *halfOpen) policy.Violation {
	workloads, live := policy.Worse(x.subjects)
	live = live && slices.ContainsFunc(x.peers, (*cluster.Workload).Live)
	who, repairable := refuser(c, x)
	ports, part := "", ""
	if !x.stated.All() {
		ports = " on " + portsWords(x.stated)
	}
	if !x.refused.Equal(x.stated) {
		part = " on " + portsWords(x.refused)
	}
	says := fmt.Sprintf("allows %s%s, but %s not admit %s%s", peerWords(x.peer), ports, who, policy.Names(workloads), part)
	if x.direction == netpol.Ingress {
		says = fmt.Sprintf("admits %s%s, but %s not let them reach %s%s", peerWords(x.peer), ports, who, policy.Names(workloads), part)
	}
	v := policy.Violation{
		Field: "spec." + x.String(), Live: live, Affected: policy.Affect(workloads),
		Headline: "the other side of a rule would still refuse", Detail: x.String() + " " + says, Reason: says,
	}
	if repairable {
		v.Fix = otherSide(c, x)
	}
	return v
}

// peerWords writes a peer as the request does: "app=db", "app=db of namespace data", "all pods of namespaces team=web".
func peerWords(p *netpol.Peer) string {
	words := "all pods"
	if p.Pods != nil && !p.Pods.Everything() {
		words = p.Pods.Brief()
	}
	if p.Namespaces == nil {
		return words
	}
	if name, ok := p.Namespaces.Exact(corev1.LabelMetadataName); ok {
		return words + " of namespace " + name
	}
	if p.Namespaces.Everything() {
		return words + " of all namespaces"
	}
	return words + " of namespaces " + p.Namespaces.Brief()
}

// refuser names what refuses the first connection at the peers' side, as far as the message may. It is repairable where
// that is NetworkPolicies alone: what a cluster-wide policy denies no rule of a namespace brings back. The words lead to
// "not admit".
func refuser(c *policy.Change, x *halfOpen) (words string, repairable bool) {
	policies, tier := refusing(c, x)
	switch {
	case tier != nil && !c.MayName(x.peers[0].Namespace):
		return "a policy there does", false
	case tier != nil:
		return tier.Kind + " " + tier.Name + " does", false
	case !c.MayName(x.peers[0].Namespace) || len(policies) == 0:
		return "a policy there does", true
	case len(policies) == 1:
		return "policy " + policies[0] + " does", true
	}
	if n := len(policies); n > maxPolicies {
		policies = append(policies[:maxPolicies], fmt.Sprintf("+%d", n-maxPolicies))
	}
	return "policies " + strings.Join(policies, ", ") + " do", true
}

// refusing lists the NetworkPolicies that decide at the first peer's side, or gives what denies the connection above them.
func refusing(c *policy.Change, x *halfOpen) (policies []string, tier *connectivity.PolicyVerdict) {
	d := netpol.Ingress + netpol.Egress - x.direction
	add := func(namespace, name string) {
		if namespace != c.Namespace {
			name = namespace + "/" + name
		}
		policies = append(policies, name)
	}
	if c.After.Tiers() == nil { // then no more than their names is told of what an explanation holds
		e := c.After.Endpoint(x.peers[0])
		for _, p := range c.After.Policies(e.Namespace) {
			if p.Isolates[d] && p.Selects(e) {
				add(p.Namespace, p.Name)
			}
		}
		return policies, nil
	}
	first := x.refused.Ranges()[0]
	ends := [2]connectivity.Endpoint{endpointOf(x.peers[0]), endpointOf(x.subjects[0].Workload)} // source, destination
	if x.direction == netpol.Egress {
		ends[0], ends[1] = ends[1], ends[0]
	}
	e := connectivity.Explain(c.After, ends[0], ends[1], &netpol.Port{Protocol: first.Protocol, Number: first.First})
	for _, p := range e.Sides[d].Policies {
		if p.Namespace == "" && denies(&p) {
			return nil, &p
		}
		if p.Namespace != "" {
			add(p.Namespace, p.Name)
		}
	}
	return policies, nil
}

func denies(p *connectivity.PolicyVerdict) bool {
	for _, r := range p.Rules {
		if r.Action == string(netpol.Deny) && !r.Matched.Empty() {
			return true
		}
	}
	return false
}

func endpointOf(w *cluster.Workload) connectivity.Endpoint {
	return connectivity.Endpoint{Node: &connectivity.Node{
		Namespace: w.Namespace, Kind: w.Kind, Name: w.Name, Pods: w.Pods, HostNetwork: w.HostNetwork, Workloads: []*cluster.Workload{w},
	}}
}

// maxObjectName is how long the name of a NetworkPolicy may be. Source: RFC 1123 subdomains, as the API checks them.
const maxObjectName = 253

// otherSide is the missing half: a policy for the peers that admits the same connection. It is shown only where the
// request may be told of the peers.
func otherSide(c *policy.Change, x *halfOpen) *policy.Fix {
	namespace := x.peers[0].Namespace
	for _, w := range x.peers {
		if w.Namespace != namespace {
			return nil
		}
	}
	subject, ok := identifyAll(x.peers)
	first := newPolicy(c, "other-side-of-"+c.Name, subject)
	if !ok || !c.MayName(namespace) || len(first.Name) > maxObjectName || c.After.Policy(namespace, first.Name) != nil {
		return nil
	}
	first.Namespace = namespace
	pods := c.NewPolicy.Subject.Source()
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &pods}
	if namespace != c.Namespace {
		peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: c.Namespace}}
	}
	if x.direction == netpol.Egress {
		first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		first.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{
			{From: []networkingv1.NetworkPolicyPeer{peer}, Ports: c.Object.Spec.Egress[x.rule].Ports},
		}
	} else {
		first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		first.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{
			{To: []networkingv1.NetworkPolicyPeer{peer}, Ports: c.Object.Spec.Ingress[x.rule].Ports},
		}
	}
	return &policy.Fix{Say: "apply the other side first:", YAML: pasteable.YAML(first), First: []*networkingv1.NetworkPolicy{first}}
}
