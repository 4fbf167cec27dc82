package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestSince: each kind of change is told, and nothing else.
func TestSince(t *testing.T) {
	namespace := func(name, team string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
	}
	pod := func(name string) *Pod {
		return PodOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": name}}})
	}
	ingress := func(class string) *Extra {
		return &Extra{Resource: Ingresses, Namespace: "web", Name: "i", For: []string{"web"}, Value: &Ingress{Namespace: "web", Name: "i", Class: class}}
	}
	b := NewBuilder(Options{})
	for _, name := range []string{"shop", "web", "default"} {
		b.SetNamespace(namespace(name, "a"))
	}
	last := b.Snapshot()
	for _, step := range []struct {
		name string
		do   func()
		want Changes
	}{
		{"nothing", func() {}, Changes{}},
		{"a pod", func() { b.SetPod(pod("api")) }, Changes{Namespaces: []string{"shop"}}},
		{"labels", func() { b.SetNamespace(namespace("web", "b")) }, Changes{Namespaces: []string{"web"}, Relabelled: []string{"web"}}},
		{"a namespace comes", func() { b.SetNamespace(namespace("new", "a")) }, Changes{Namespaces: []string{"new"}, Relabelled: []string{"new"}}},
		{"and goes", func() { b.DeleteNamespace("new") }, Changes{Namespaces: []string{"new"}, Relabelled: []string{"new"}}},
		{"an Ingress", func() { b.SetExtra(ingress("x")) }, Changes{Beside: []string{"web"}}},
		{"the same Ingress", func() { b.SetExtra(ingress("x")) }, Changes{}},
		{"another class", func() { b.SetExtra(ingress("y")) }, Changes{Beside: []string{"web"}}},
		{"no Ingress", func() { b.DeleteExtra(Ingresses, "web", "i") }, Changes{Beside: []string{"web"}}},
		{"a role", func() {
			b.SetExtra(&Extra{Resource: RoleBindings, Namespace: "shop", Name: "r", For: []string{"shop/api"}, Value: &Binding{}})
		}, Changes{Beside: []string{"shop"}}},
		{"a Gateway", func() {
			b.SetExtra(&Extra{Resource: Gateways, Namespace: "web", Name: "g", For: []string{"web"}, Value: &Gateway{}})
		}, Changes{Beside: []string{"web"}, Everywhere: true}},
		{"a node", func() {
			b.SetExtra(&Extra{Resource: Nodes, Name: "n", For: []string{Everywhere}, Value: &Node{Name: "n"}})
		},
			Changes{Beside: []string{Everywhere}, Everywhere: true}},
		{"the API server's Service", func() { b.SetService(&Service{Namespace: "default", Name: "kubernetes"}) },
			Changes{Namespaces: []string{"default"}, Everywhere: true}},
		{"the resolver", func() { b.SetOptions(Options{Resolver: ResolverOverride{Namespace: "shop", Service: "dns"}}) }, Changes{
			Namespaces: []string{"default", "shop", "web"}, Everywhere: true}},
	} {
		step.do()
		now := b.Snapshot()
		if diff := cmp.Diff(step.want, now.Since(last)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		last = now
	}
}
