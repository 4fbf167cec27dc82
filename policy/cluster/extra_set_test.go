package cluster_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

func gateway(namespace, name, class string) *cluster.Extra {
	return &cluster.Extra{
		Resource: cluster.Gateways, Namespace: namespace, Name: name, For: []string{namespace},
		Value: &cluster.Gateway{Namespace: namespace, Name: name, Class: class},
	}
}

// TestExtras: they come, change and go, each snapshot keeps what it had, and what is no change makes no new snapshot.
func TestExtras(t *testing.T) {
	b := cluster.NewBuilder(cluster.Options{})
	find := func(s *cluster.Snapshot) string {
		if g := s.Gateway(cluster.NamespacedName{Namespace: "infra", Name: "a"}); g != nil {
			return g.Class
		}
		return "none"
	}
	empty := b.Snapshot()
	b.SetExtra(gateway("infra", "a", "envoy"))
	b.SetExtra(gateway("infra", "b", "envoy"))
	b.SetExtra(gateway("other", "a", "istio"))
	first := b.Snapshot()
	b.SetExtra(gateway("infra", "a", "envoy"))
	if b.Snapshot() != first {
		t.Error("the same object again made a new snapshot")
	}
	b.SetExtra(gateway("infra", "a", "istio"))
	second := b.Snapshot()
	b.DeleteExtra(cluster.Gateways, "infra", "a")
	b.DeleteExtra(cluster.Gateways, "infra", "nobody")
	third := b.Snapshot()
	got := fmt.Sprint(find(empty), find(first), find(second), find(third))
	if want := fmt.Sprint("none", "envoy", "istio", "none"); got != want {
		t.Errorf("found %s, want %s", got, want)
	}
	if a, b, c := empty.Stats().Extras, first.Stats().Extras, third.Stats().Extras; a != 0 || b != 3 || c != 2 {
		t.Errorf("%d, %d and %d are counted, want 0, 3 and 2", a, b, c)
	}
	b.ReplaceExtras(cluster.Gateways, []*cluster.Extra{gateway("infra", "a", "kong")})
	last := b.Snapshot()
	if find(last) != "kong" || last.Stats().Extras != 1 {
		t.Errorf("found %s among %d, want kong alone", find(last), last.Stats().Extras)
	}
	b.ReplaceExtras(cluster.Gateways, nil)
	if s := b.Snapshot(); s.Stats().Extras != 0 || find(s) != "none" {
		t.Errorf("%d are left", s.Stats().Extras)
	}
	if b.Snapshot().WithoutPolicy("infra", "none"); find(last) != "kong" {
		t.Error("an older snapshot changed")
	}
}

func bound(kind, namespace, name string, accounts ...string) *cluster.Extra {
	r := cluster.RoleBindings
	if kind == "ClusterRoleBinding" {
		r = cluster.ClusterRoleBindings
	}
	return &cluster.Extra{Resource: r, Namespace: namespace, Name: name, For: accounts, Value: &cluster.Binding{Kind: kind, Namespace: namespace, Name: name}}
}

func TestBindings(t *testing.T) {
	b := cluster.NewBuilder(cluster.Options{})
	b.SetExtra(bound("RoleBinding", "shop", "own", "shop/op", "build/ci"))
	b.SetExtra(bound("RoleBinding", "shop", "all", "shop/*"))
	b.SetExtra(bound("ClusterRoleBinding", "", "wide", "shop/op"))
	s := b.Snapshot()
	for _, tt := range []struct {
		namespace, account string
		want               []string
	}{
		{"shop", "op", []string{"own", "wide", "all"}}, {"shop", "default", []string{"all"}}, {"build", "ci", []string{"own"}}, {"build", "op", nil},
	} {
		var got []string
		for _, x := range s.Bindings(tt.namespace, tt.account) {
			got = append(got, x.Name)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s/%s is bound by %q, want %q", tt.namespace, tt.account, got, tt.want)
		}
	}
}
