package guardrails

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestMadeByControllers: a label of the domain of a custom resource that comes with the change is one that its operator may set.
func TestMadeByControllers(t *testing.T) {
	for _, tt := range []struct {
		key    string
		groups []string
		want   bool
	}{
		{"cnpg.io/cluster", []string{"postgresql.cnpg.io"}, true},
		{"common.k8s.elastic.co/type", []string{"agent.example.com", "elasticsearch.k8s.elastic.co"}, true},
		{"strimzi.io/cluster", []string{"postgresql.cnpg.io"}, false},
		{"app.kubernetes.io/name", []string{"postgresql.cnpg.io"}, false},
		{"cnpg.io/cluster", nil, false},
		{"cluster", []string{"cluster"}, false},
		{"io/cluster", []string{"postgresql.cnpg.io"}, false},
		{"acme.cert-manager.io/http01-solver", nil, true},
	} {
		c := &policy.Change{Groups: tt.groups}
		having, err := netpol.CompileSelector(metav1.LabelSelector{MatchLabels: map[string]string{tt.key: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		lacking, err := netpol.CompileSelector(metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: tt.key, Operator: metav1.LabelSelectorOpDoesNotExist}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := madeByControllers(c, having); got != tt.want {
			t.Errorf("%s beside %q: %v", tt.key, tt.groups, got)
		}
		if madeByControllers(c, lacking) {
			t.Errorf("pods without %s beside %q are nobody's in particular", tt.key, tt.groups)
		}
	}
}
