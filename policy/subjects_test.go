package policy_test

import (
	"fmt"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// TestSubjectsPolicies: each subject has the policies of its namespace that select it, before and after, sorted by name,
// wherever the name of the changed one sorts.
func TestSubjectsPolicies(t *testing.T) {
	scaled := policytest.Scale(10, 600, 60, 1)
	b := cluster.NewBuilder(cluster.Options{})
	if err := scaled.Fill(b); err != nil {
		t.Fatal(err)
	}
	s := b.Snapshot()
	compared := 0
	check := func(old, new *networkingv1.NetworkPolicy) {
		t.Helper()
		c, err := policy.PolicyChange(s, old, new)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Subjects {
			x := &c.Subjects[i]
			for _, side := range []struct {
				in  *cluster.Snapshot
				got *policy.Coverage
			}{{c.Before, &x.Before}, {c.After, &x.After}} {
				var want []*netpol.Policy
				for _, p := range side.in.Policies(c.Namespace) {
					if p.Selects(side.in.Endpoint(x.Workload)) {
						want = append(want, p)
					}
				}
				if compared++; !slices.Equal(want, side.got.Policies) {
					t.Fatalf("%s %s/%s: %s has %v, want %v", c.Operation, c.Namespace, c.Name, x.Workload.Label(), names(side.got.Policies), names(want))
				}
			}
		}
	}
	for i := range 20 {
		stored := scaled.Policies(scaled.Tenant(i))
		for j, old := range stored {
			check(old, edit(old, i+j))
			check(edit(old, i+j), old) // what is stored is not what the snapshot has
			check(old, nil)
			for _, name := range []string{"a", fmt.Sprintf("%s-", old.Name), "zz"} {
				created := edit(old, i)
				created.Name = name
				check(nil, created)
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d subjects were compared", compared)
	}
}

func names(policies []*netpol.Policy) (out []string) {
	for _, p := range policies {
		out = append(out, p.Name)
	}
	return out
}
