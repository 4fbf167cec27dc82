package guardrails

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func TestMayBeDefault(t *testing.T) {
	const in, out = networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	for _, test := range []struct {
		types []networkingv1.PolicyType
		d     netpol.Direction
		want  bool
	}{
		{nil, netpol.Ingress, true}, // a manifest that no API server has seen
		{[]networkingv1.PolicyType{in, out}, netpol.Ingress, true},
		{[]networkingv1.PolicyType{out, in}, netpol.Ingress, false},
		{[]networkingv1.PolicyType{in}, netpol.Ingress, false},
		{[]networkingv1.PolicyType{in, out}, netpol.Egress, false},
	} {
		if got := mayBeDefault(test.types, test.d); got != test.want {
			t.Errorf("%s in %s: %v, want %v", test.d, test.types, got, test.want)
		}
	}
}
