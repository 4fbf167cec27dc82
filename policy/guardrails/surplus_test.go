package guardrails

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// randomSelector demands some of two labels with two values each, in either way of writing it.
func randomSelector(t *testing.T, r *rand.Rand) netpol.Selector {
	t.Helper()
	s := metav1.LabelSelector{}
	for _, key := range []string{"a", "b"} {
		value := fmt.Sprint(r.IntN(2))
		switch r.IntN(4) {
		case 0:
			s.MatchLabels = labels.Set{key: value}
		case 1:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: key, Operator: []metav1.LabelSelectorOperator{metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn}[r.IntN(2)], Values: []string{value},
			})
		}
	}
	out, err := netpol.CompileSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// randomSelective is a random policy of namespace shop whose subject and some of whose peers are selectors.
func randomSelective(t *testing.T, r *rand.Rand, name string) *netpol.Policy {
	t.Helper()
	p := randomPolicy(r, name)
	p.Namespace, p.Subject = "shop", randomSelector(t, r)
	for d := range p.Rules {
		for i := range p.Rules[d] {
			for j := range p.Rules[d][i].Peers {
				peer := &p.Rules[d][i].Peers[j]
				if peer.Block != nil && r.IntN(2) == 0 {
					continue
				}
				*peer = netpol.Peer{}
				if s := randomSelector(t, r); r.IntN(3) > 0 {
					peer.Pods = &s
				}
				if s := randomSelector(t, r); r.IntN(2) == 0 || peer.Pods == nil {
					peer.Namespaces = &s
				}
			}
		}
	}
	return p
}

// everyone lists pods with all sets of the labels in two namespaces with different ones, and some addresses.
func everyone() []netpol.Endpoint {
	var out []netpol.Endpoint
	var sets []labels.Set
	for _, a := range []string{"", "0", "1"} {
		for _, b := range []string{"", "0", "1"} {
			l := labels.Set{}
			if a != "" {
				l["a"] = a
			}
			if b != "" {
				l["b"] = b
			}
			sets = append(sets, l)
		}
	}
	for _, l := range sets {
		out = append(out, netpol.Endpoint{Namespace: "shop", NamespaceLabels: sets[4], Labels: l, Ports: serverPorts},
			netpol.Endpoint{Namespace: "other", NamespaceLabels: sets[8], Labels: l})
	}
	for _, a := range addresses() {
		out = append(out, netpol.Endpoint{Addresses: []netip.Addr{a}})
	}
	return out
}

// admittedBy writes all that the policies admit, looking at each pair of ends and each port by itself.
func admittedBy(policies []*netpol.Policy, all []netpol.Endpoint) []bool {
	var out []bool
	for i := range all {
		if all[i].Namespace != "shop" {
			continue
		}
		for j := range all {
			for _, port := range probePorts {
				for _, d := range netpol.Directions {
					out = append(out, netpol.Admitted(d, all[i], all[j], port, policies))
				}
			}
		}
	}
	return out
}

// TestSurplusAddsNothing takes what is said to add nothing out of random policies, and looks whether anything changes for
// any pod that there could be.
func TestSurplusAddsNothing(t *testing.T) {
	r := seeded(t)
	all := everyone()
	rules, wholes := 0, 0
	for range 300 {
		p := randomSelective(t, r, "new")
		others := []*netpol.Policy{randomSelective(t, r, "first"), randomSelective(t, r, "second")}
		if d := r.IntN(2); r.IntN(2) == 0 {
			p.Rules[d] = append(p.Rules[d], others[0].Rules[d]...)
		}
		if r.IntN(4) == 0 {
			p.Rules, p.Isolates = others[0].Rules, others[0].Isolates
			others[0].Subject = []netpol.Selector{p.Subject, randomSelector(t, r)}[r.IntN(2)]
		}
		policies := append(slices.Clone(others), p)
		got := surplusOf(p, policies)
		if len(got.rules) == 0 {
			continue
		}
		want := admittedBy(policies, all)
		rest := *p
		for _, at := range slices.Backward(got.rules) {
			kept := slices.Clone(rest.Rules[at.direction])
			rest.Rules[at.direction] = slices.Delete(kept, at.rule, at.rule+1)
			rules++
		}
		if !slices.Equal(want, admittedBy(append(slices.Clone(others), &rest), all)) {
			t.Fatalf("without the rules %+v of %+v something else is allowed beside %+v and %+v", got.rules, p, others[0], others[1])
		}
		if got.whole {
			if wholes++; !slices.Equal(want, admittedBy(others, all)) {
				t.Fatalf("without %+v something else is allowed beside %+v and %+v", p, others[0], others[1])
			}
		}
	}
	if rules < 50 || wholes < 10 {
		t.Errorf("only %d rules and %d policies added nothing: the policies are too random to tell anything", rules, wholes)
	}
}
