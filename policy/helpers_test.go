package policy_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const podNameLabel = "statefulset.kubernetes.io/pod-name"

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// networkPolicy makes a policy of the namespace shop on the pods with these labels.
func networkPolicy(name string, subject map[string]string, types ...networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: subject}, PolicyTypes: types},
	}
}

func pod(name, kind, owner string, labels map[string]string) *corev1.Pod {
	yes := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels, OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: &yes}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
}

// shop is a namespace with two pods of api, three of the StatefulSet db, a node agent, and a template without pods.
func shop(t *testing.T, policies ...*networkingv1.NetworkPolicy) *cluster.Snapshot {
	t.Helper()
	b := cluster.NewBuilder(cluster.Options{})
	b.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{corev1.LabelMetadataName: "shop"}}})
	for i := range 2 {
		b.SetPod(cluster.PodOf(pod(fmt.Sprintf("api-%d", i), "ReplicaSet", "api", map[string]string{"app": "api"})))
	}
	for i := range 3 {
		name := fmt.Sprintf("db-%d", i)
		b.SetPod(cluster.PodOf(pod(name, "StatefulSet", "db", map[string]string{"app": "db", podNameLabel: name})))
	}
	agent := pod("agent-0", "DaemonSet", "agent", map[string]string{"app": "agent"})
	agent.Spec.HostNetwork = true
	b.SetPod(cluster.PodOf(agent))
	b.SetTemplate(&cluster.Template{Workload: &cluster.Workload{
		Namespace: "shop", Kind: "Deployment", Name: "web", Labels: map[string]string{"app": "web"}, Template: true,
	}})
	for _, np := range policies {
		b.SetPolicy(compiled(t, np))
	}
	return b.Snapshot()
}

func compiled(t *testing.T, np *networkingv1.NetworkPolicy) *netpol.Policy {
	t.Helper()
	p, err := netpol.Compile(np)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// subjects lists a change's subjects: name, labels, pods, whether live, and the policies that select it on either side.
func subjects(c *policy.Change) []string {
	names := func(policies []*netpol.Policy) []string {
		out := []string{}
		for _, p := range policies {
			out = append(out, p.Name)
		}
		return out
	}
	var out []string
	for i := range c.Subjects {
		s := &c.Subjects[i]
		out = append(out, fmt.Sprintf("%s %s %d live=%v existed=%v %v->%v", s.Workload.Name, s.Workload.Labels, s.Workload.Pods, s.Live(), s.Existed,
			names(s.Before.Policies), names(s.After.Policies)))
	}
	return out
}

// settings parses lines of a config for the guardrails.
func settings(t *testing.T, guardrails []policy.Guardrail, lines string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(fmt.Sprintf("apiVersion: %s\nkind: %s\n%s", config.APIVersion, config.Kind, lines)), policy.Specs(guardrails))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
