package netpol_test

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// manyTimes is how many items a policy is made to have: so many that what repeats is left out.
const manyTimes = 1001

// repeated gives the policy with its rules again and again in a random order, and their peers and ports too.
func (d draw) repeated(np *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	out := np.DeepCopy()
	for i := range out.Spec.Ingress {
		out.Spec.Ingress[i].From, out.Spec.Ingress[i].Ports = again(d, out.Spec.Ingress[i].From, 6), again(d, out.Spec.Ingress[i].Ports, 6)
	}
	for i := range out.Spec.Egress {
		out.Spec.Egress[i].To, out.Spec.Egress[i].Ports = again(d, out.Spec.Egress[i].To, 6), again(d, out.Spec.Egress[i].Ports, 6)
	}
	out.Spec.Ingress, out.Spec.Egress = again(d, out.Spec.Ingress, manyTimes), again(d, out.Spec.Egress, manyTimes)
	return out
}

// again adds copies of random items until there are at least n; there is nothing to copy in an empty list.
func again[T any](d draw, list []T, n int) []T {
	for k := len(list); k > 0 && len(list) < n; {
		list = append(list, list[d.IntN(k)])
	}
	mix(d, list)
	return list
}

// TestRepeatsChangeNothing: a large policy that repeats itself means what the oracle says, which reads every item.
func TestRepeatsChangeNothing(t *testing.T) {
	const worlds, probes = 20, 6 // the oracle takes its time over so many items
	forAll(t, worlds, func(d draw, w world) string {
		for i := range w.Policies {
			w.Policies[i] = d.repeated(w.Policies[i])
		}
		compiled, err := compile(w.Policies)
		if err != nil {
			return err.Error()
		}
		for i, p := range compiled {
			if n := len(p.Rules[0]) + len(p.Rules[1]); n > 6 {
				return "a policy was not shortened: it has more than the six rules that differ\n" + printYAML(scenario{Policies: w.Policies[i : i+1]})
			}
		}
		for range probes {
			s := scenario{Policies: w.Policies, From: pick(d, w.Ends...), To: pick(d, w.Ends...), Port: d.probePort()}
			if problem := difference(s, compiled); problem != "" {
				return problem
			}
		}
		return ""
	})
}
