package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// addressed makes a pod of Deployment api with the addresses.
func addressed(name string, addresses ...string) *Pod {
	p := pod("shop", name, "ReplicaSet", "api-1", map[string]string{"app": "api", "pod-template-hash": "1", byPodName: name})
	for _, a := range addresses {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a})
	}
	return PodOf(p)
}

func TestDualStack(t *testing.T) {
	const v4, v6 = "10.0.0.1", "fd00::1"
	b := NewBuilder(Options{})
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"no address yet", func() { b.SetPod(addressed("a")) }, false},
		{"IPv4", func() { b.SetPod(addressed("a", v4)) }, false},
		{"an IPv4-mapped address is IPv4", func() { b.SetPod(addressed("b", "::ffff:10.0.0.2")) }, false},
		{"another pod has both", func() { b.SetPod(addressed("c", v4, v6)) }, true},
		{"that pod goes", func() { b.DeletePod("shop", "c") }, false},
		{"the first one gets its second address later", func() { b.SetPod(addressed("a", v4, v6)) }, true},
		{"one pod of each family", func() { b.SetPod(addressed("a", v6)) }, true},
		{"the last IPv4 pod goes", func() { b.DeletePod("shop", "b") }, false},
	}
	for _, step := range steps {
		step.do()
		s := b.Snapshot()
		workloads := s.Live(s.Namespace("shop"))
		if len(workloads) != 1 {
			t.Fatalf("%s: addresses split the workload: %v", step.name, live(s, "shop"))
		}
		same(t, step.name, step.want, workloads[0].DualStack())
	}
}

func TestDualStackAfterChanges(t *testing.T) {
	b := NewBuilder(Options{})
	b.SetPod(addressed("a", "10.0.0.1"))
	s := b.Snapshot()
	both := s.WithPod(addressed("b", "fd00::2"))
	same(t, "with a pod of the other family", true, both.Live(both.Namespace("shop"))[0].DualStack())
	same(t, "the snapshot before", false, s.Live(s.Namespace("shop"))[0].DualStack())
	read := s.WithContents("shop", NamespaceContents{Pods: []*Pod{addressed("a", "10.0.0.1", "fd00::1")}})
	same(t, "read live", true, read.Live(read.Namespace("shop"))[0].DualStack())
	p, err := netpol.Compile(selecting("shop", false, map[string]string{byPodName: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	b.SetPolicy(p)
	b.SetPod(addressed("b", "fd00::2"))
	s = b.Snapshot()
	for _, w := range s.Live(s.Namespace("shop")) {
		same(t, "the parts of a workload "+w.Labels.String(), true, w.DualStack())
	}
}
