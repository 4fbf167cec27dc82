package netpol_test

import (
	"fmt"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// scenario is one question about one cluster, small enough to be printed.
type scenario struct {
	Policies []*networkingv1.NetworkPolicy
	From, To netpol.Endpoint
	Port     netpol.Port
}

// shrink removes parts of s for as long as fails still holds.
func shrink(s scenario, fails func(scenario) bool) scenario {
	for {
		smaller := slices.IndexFunc(smallerScenarios(s), fails)
		if smaller < 0 {
			return s
		}
		s = smallerScenarios(s)[smaller]
	}
}

// smallerScenarios lists the scenarios that lack one part of s each, the big parts first.
func smallerScenarios(s scenario) []scenario {
	var out []scenario
	for i := range s.Policies {
		c := s
		c.Policies = without(s.Policies, i)
		out = append(out, c)
	}
	for i, np := range s.Policies {
		for _, smaller := range smallerPolicies(np) {
			c := s
			c.Policies = slices.Clone(s.Policies)
			c.Policies[i] = smaller
			out = append(out, c)
		}
	}
	for _, e := range smallerEnds(s.From) {
		c := s
		c.From = e
		out = append(out, c)
	}
	for _, e := range smallerEnds(s.To) {
		c := s
		c.To = e
		out = append(out, c)
	}
	return out
}

func smallerPolicies(np *networkingv1.NetworkPolicy) []*networkingv1.NetworkPolicy {
	var out []*networkingv1.NetworkPolicy
	edit := func(change func(spec *networkingv1.NetworkPolicySpec)) {
		c := np.DeepCopy()
		change(&c.Spec)
		out = append(out, c)
	}
	for i := range np.Spec.Ingress {
		edit(func(s *networkingv1.NetworkPolicySpec) { s.Ingress = without(s.Ingress, i) })
	}
	for i := range np.Spec.Egress {
		edit(func(s *networkingv1.NetworkPolicySpec) { s.Egress = without(s.Egress, i) })
	}
	if len(np.Spec.PolicyTypes) > 1 {
		for i := range np.Spec.PolicyTypes {
			edit(func(s *networkingv1.NetworkPolicySpec) { s.PolicyTypes = without(s.PolicyTypes, i) })
		}
	}
	for _, smaller := range smallerSelectors(np.Spec.PodSelector) {
		edit(func(s *networkingv1.NetworkPolicySpec) { s.PodSelector = smaller })
	}
	for i, r := range np.Spec.Ingress {
		for _, peers := range smallerPeers(r.From) {
			edit(func(s *networkingv1.NetworkPolicySpec) { s.Ingress[i].From = peers })
		}
		for j := range r.Ports {
			edit(func(s *networkingv1.NetworkPolicySpec) { s.Ingress[i].Ports = without(s.Ingress[i].Ports, j) })
		}
	}
	for i, r := range np.Spec.Egress {
		for _, peers := range smallerPeers(r.To) {
			edit(func(s *networkingv1.NetworkPolicySpec) { s.Egress[i].To = peers })
		}
		for j := range r.Ports {
			edit(func(s *networkingv1.NetworkPolicySpec) { s.Egress[i].Ports = without(s.Egress[i].Ports, j) })
		}
	}
	return out
}

func smallerPeers(peers []networkingv1.NetworkPolicyPeer) [][]networkingv1.NetworkPolicyPeer {
	var out [][]networkingv1.NetworkPolicyPeer
	edit := func(i int, change func(p *networkingv1.NetworkPolicyPeer)) {
		c := slices.Clone(peers)
		c[i] = *c[i].DeepCopy()
		change(&c[i])
		out = append(out, c)
	}
	for i, p := range peers {
		out = append(out, without(peers, i))
		if p.IPBlock != nil {
			for j := range p.IPBlock.Except {
				edit(i, func(p *networkingv1.NetworkPolicyPeer) { p.IPBlock.Except = without(p.IPBlock.Except, j) })
			}
		}
		if p.PodSelector != nil {
			for _, s := range smallerSelectors(*p.PodSelector) {
				edit(i, func(p *networkingv1.NetworkPolicyPeer) { p.PodSelector = &s })
			}
		}
		if p.NamespaceSelector != nil {
			for _, s := range smallerSelectors(*p.NamespaceSelector) {
				edit(i, func(p *networkingv1.NetworkPolicyPeer) { p.NamespaceSelector = &s })
			}
		}
	}
	return out
}

func smallerSelectors(s metav1.LabelSelector) []metav1.LabelSelector {
	var out []metav1.LabelSelector
	for key := range s.MatchLabels {
		c := *s.DeepCopy()
		delete(c.MatchLabels, key)
		out = append(out, c)
	}
	for i := range s.MatchExpressions {
		c := *s.DeepCopy()
		c.MatchExpressions = without(c.MatchExpressions, i)
		out = append(out, c)
	}
	return out
}

func smallerEnds(e netpol.Endpoint) []netpol.Endpoint {
	var out []netpol.Endpoint
	for key := range e.Labels {
		c := e
		c.Labels = cloneLabels(e.Labels)
		delete(c.Labels, key)
		out = append(out, c)
	}
	for i := range e.Ports {
		c := e
		c.Ports = without(e.Ports, i)
		out = append(out, c)
	}
	for i := range e.Addresses {
		c := e
		c.Addresses = without(e.Addresses, i)
		out = append(out, c)
	}
	if e.Node != "" {
		c := e
		c.Node = ""
		out = append(out, c)
	}
	return out
}

// TestShrink keeps the failure reports of the property tests readable: what does not matter has to go, and what does
// has to stay.
func TestShrink(t *testing.T) {
	for number := range uint64(50) {
		d := newDraw(1, number)
		w := d.world()
		s := scenario{Policies: w.Policies, From: w.Ends[0], To: pick(d, w.Ends...), Port: d.probePort()}
		s.Policies = append(s.Policies, d.policy("n0", "wanted"))
		s.Policies[len(s.Policies)-1].Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
			To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}, {IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}}},
		}}
		s = shrink(s, func(s scenario) bool {
			return slices.ContainsFunc(s.Policies, func(np *networkingv1.NetworkPolicy) bool {
				return np.Name == "wanted" && len(np.Spec.Egress) == 1 &&
					slices.ContainsFunc(np.Spec.Egress[0].To, func(p networkingv1.NetworkPolicyPeer) bool { return p.IPBlock != nil })
			})
		})
		if len(s.Policies) != 1 {
			t.Fatalf("world %d: %d policies are left, want the wanted one:\n%s", number, len(s.Policies), printYAML(s))
		}
		spec := s.Policies[0].Spec
		left := fmt.Sprint(len(spec.Ingress), len(spec.Egress), len(spec.Egress[0].To), len(spec.PodSelector.MatchLabels),
			len(s.From.Labels), len(s.From.Ports), len(s.To.Addresses))
		if left != "0 1 1 0 0 0 0" {
			t.Errorf("world %d: parts are left that do not matter (%s):\n%s", number, left, printYAML(s))
		}
	}
}
