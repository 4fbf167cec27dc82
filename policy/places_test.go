package policy_test

import (
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// TestPlacesOfWhatRepeats: a large policy is judged without what it repeats, and its author is told the places that it has.
func TestPlacesOfWhatRepeats(t *testing.T) {
	np := networkPolicy("large", nil, ingress)
	peer := func(app string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}
	}
	np.Spec.Ingress = make([]networkingv1.NetworkPolicyIngressRule, 1200)
	np.Spec.Ingress = append(np.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{peer("a"), peer("a"), peer("b")}})
	last := guardrail("last", func(c *policy.Change) []policy.Violation {
		r := len(c.Object.Spec.Ingress) - 1
		if r != len(c.NewPolicy.Rules[0])-1 {
			t.Errorf("%d rules of the object, and %d compiled", r+1, len(c.NewPolicy.Rules[0]))
		}
		j := len(c.Object.Spec.Ingress[r].From) - 1
		at := fmt.Sprintf("ingress[%d].from[%d]", r, j)
		return []policy.Violation{{Field: "spec." + at, Headline: at + " and ingress[0]", Detail: fmt.Sprintf("from[7]: %s+from[%d], egress[3]", at, j-1), Reason: "to[1]"}}
	})
	list := []policy.Guardrail{last}
	c, err := policy.PolicyChange(shop(t), nil, np)
	if err != nil {
		t.Fatal(err)
	}
	d := policy.Evaluate(settings(t, list, ""), list, c)
	same(t, "the places", policy.Violation{
		Field: "spec.ingress[1200].from[2]", Headline: "ingress[1200].from[2] and ingress[0]", Detail: "from[7]: ingress[1200].from[2]+from[0], egress[3]", Reason: "to[1]",
	}, d.Findings[0].Violation)
}
