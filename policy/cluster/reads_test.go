package cluster

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestReads(t *testing.T) {
	with := func(key string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: "x"}}
	}
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}}
	np.Spec.PodSelector = *with("app")
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
		{PodSelector: with("role")}, {NamespaceSelector: &metav1.LabelSelector{}, PodSelector: with("tier")},
	}}}
	b := NewBuilder(Options{})
	b.SetPolicy(mustCompile(np))
	before := b.Snapshot()
	b.SetTierPolicy(adminPolicy("p", 1, "guarded"))
	tiered := b.Snapshot()
	for _, c := range []struct {
		snapshot       *Snapshot
		namespace, key string
		want           bool
	}{
		{before, "shop", "app", true},
		{before, "shop", "role", true},
		{before, "shop", "other role", true},
		{before, "shop", "tier", true},
		{before, "shop", "zone", false},
		{before, "other", "app", false},
		{before, "other", "role", false},
		{before, "other", "tier", true},
		{before, "other", "guarded", false},
		{tiered, "other", "guarded", true},
		{before.WithoutPolicy("shop", "a"), "shop", "app", false},
		{before.WithoutPolicy("shop", "a"), "other", "tier", false},
	} {
		set := labels.Set{}
		for _, key := range strings.Fields(c.key) {
			set[key] = "y"
		}
		if got := c.snapshot.Reads(c.namespace, set); got != c.want {
			t.Errorf("%s in %s: got %v, want %v", c.key, c.namespace, got, c.want)
		}
	}
}
