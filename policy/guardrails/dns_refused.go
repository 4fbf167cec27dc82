package guardrails

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// maxClients bounds how many workloads are tried as clients of the resolver, so that a change in the resolver's
// namespace stays cheap in a large cluster. The guardrail's documentation tells the number.
const maxClients = 500

// refusedByResolver is dns-cut seen from the resolver: the change isolates the resolver's own pods, so that live pods
// that they answered before are refused. Where pods ask a node-local cache, or a rule admits an ipBlock, it cannot be
// known who is refused and nothing is said.
func refusedByResolver(c *policy.Change, r *cluster.Resolver) []policy.Violation {
	if c.NewWorkload != nil || c.Namespace != r.Namespace || len(r.Selector) == 0 || len(r.Local) > 0 {
		return nil
	}
	selector := r.Selector.AsSelectorPreValidated()
	var refusing []*policy.Subject
	for _, s := range c.LiveSubjects() {
		if selector.Matches(s.Workload.Labels) && s.After.Isolated(netpol.Ingress) {
			if allowsBlock(&s.After, netpol.Ingress, corev1.ProtocolUDP, resolverPort(r, s.Workload), anyBlock) {
				return nil
			}
			refusing = append(refusing, s)
		}
	}
	if len(refusing) == 0 {
		return nil
	}
	who := refusedClients(c, r)
	if who == "" {
		return nil
	}
	workloads := workloadsOf(refusing)
	none := "no rule allows " + dnsPortText(r, corev1.ProtocolUDP)
	v := policy.Violation{
		Field: "spec.ingress", Live: true, Affected: policy.Affect(workloads),
		Headline: fmt.Sprintf("the cluster's DNS would refuse %s", who),
		Detail:   fmt.Sprintf("%s would refuse DNS from %s: %s", policy.Count(workloads), who, none),
	}
	if c.NewPolicy == nil {
		v.Field, v.Detail = "", fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	v.Fix = admitQueries(c, workloads, r)
	return []policy.Violation{v}
}

// refusedClients says which pods the resolver answered before the change and refuses after it; "" where it finds none.
func refusedClients(c *policy.Change, r *cluster.Resolver) string {
	tried := 0
	refused := func(n *cluster.Namespace) *cluster.Workload {
		for _, w := range c.After.Live(n) {
			if tried == maxClients {
				return nil
			}
			if !w.ClusterDNS() {
				continue
			}
			tried++
			e := c.After.Endpoint(w)
			_, before := answers(c.Before, r, e)
			if asks, after := answers(c.After, r, e); before && asks && !after {
				return w
			}
		}
		return nil
	}
	own := refused(c.After.Namespace(c.Namespace)) != nil
	var other *cluster.Workload
	for n := range c.After.All() {
		if n.Name != c.Namespace && other == nil {
			other = refused(n)
		}
		if other != nil || tried == maxClients {
			break
		}
	}
	switch {
	case other != nil && c.Disclose:
		return fmt.Sprintf("pods of other namespaces (%s/%s)", other.Namespace, other.Name)
	case other != nil && own:
		return "pods of all namespaces"
	case other != nil:
		return "pods of other namespaces"
	case own:
		return "pods of " + c.Namespace
	}
	return ""
}

// answers reports whether the client's egress lets a query out to one of the resolver's pods, and whether the ingress of
// such a pod lets it in. A client that cannot ask is not refused: its own egress is another finding's.
func answers(s *cluster.Snapshot, r *cluster.Resolver, client netpol.Endpoint) (asks, answered bool) {
	for i := range r.Backends {
		b := &r.Backends[i]
		port := netpol.Port{Protocol: corev1.ProtocolUDP, Number: b.UDP}
		if b.UDP == 0 || !s.Tiers().Admitted(netpol.Egress, client, b.Endpoint, port, s.Policies(client.Namespace)) {
			continue
		}
		asks = true
		if s.Tiers().Admitted(netpol.Ingress, b.Endpoint, client, port, s.Policies(r.Namespace)) {
			return true, true
		}
	}
	return asks, false
}

// resolverPort is the UDP port on which the pods of w answer.
func resolverPort(r *cluster.Resolver, w *cluster.Workload) uint16 {
	for i := range r.Backends {
		if r.Backends[i].Endpoint.Labels.String() == w.Labels.String() {
			return r.Backends[i].UDP
		}
	}
	return dnsPort
}

// admitQueries lets DNS queries from everywhere into the resolver's pods: nodes and pods on their network ask too.
func admitQueries(c *policy.Change, workloads []*cluster.Workload, r *cluster.Resolver) *policy.Fix {
	rule := networkingv1.NetworkPolicyIngressRule{Ports: resolverPorts(r)}
	if c.Object != nil && len(c.Object.Spec.Ingress) > 0 && c.NewPolicy.Isolates[netpol.Ingress] && selectsAll(c.NewPolicy, workloads, c) &&
		!c.NewPolicy.Subject.Everything() {
		fixed := c.Object.DeepCopy()
		fixed.Spec.Ingress = append(fixed.Spec.Ingress, rule)
		return &policy.Fix{Say: "add under spec.ingress:", YAML: pasteable.YAML([]networkingv1.NetworkPolicyIngressRule{rule}), Instead: fixed}
	}
	first := newPolicy(c, "allow-dns-queries", metav1.LabelSelector{MatchLabels: r.Selector})
	first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	first.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{rule}
	return &policy.Fix{Say: "apply this policy first:", YAML: pasteable.YAML(first), First: []*networkingv1.NetworkPolicy{first}}
}
