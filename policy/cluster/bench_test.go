package cluster_test

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

// large is the size that Bulkhead has to bear: 2,000 namespaces, 150,000 pods, 10,000 policies.
func large() *policytest.Scaled { return policytest.Scale(2000, 150_000, 10_000, 1) }

func filled(b *testing.B, s *policytest.Scaled) *cluster.Builder {
	b.Helper()
	builder := cluster.NewBuilder(cluster.Options{})
	if err := s.Fill(builder); err != nil {
		b.Fatal(err)
	}
	builder.Snapshot()
	return builder
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first one lets weak references go, the second one what they held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkBuild builds a large cluster's snapshot from nothing, from the objects as the API server sends them, and
// reports what Builder and snapshot keep.
func BenchmarkBuild(b *testing.B) {
	s := large()
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		builder := filled(b, s)
		b.StopTimer()
		stats := builder.Snapshot().Stats()
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(stats.Pods), "pods")
		b.ReportMetric(float64(stats.Workloads), "workloads")
		b.ReportMetric(float64(stats.Policies), "policies")
		runtime.KeepAlive(builder)
		b.StartTimer()
	}
}

// BenchmarkSnapshot measures one event and the snapshot after it.
func BenchmarkSnapshot(b *testing.B) {
	s := large()
	builder := filled(b, s)
	var pods []*cluster.Pod
	var namespaces []*corev1.Namespace
	var policies []*netpol.Policy
	for i := range 500 {
		n := s.Tenant(i * 7)
		pods = append(pods, cluster.PodOf(s.Pods(n)[0]))
		namespaces = append(namespaces, s.Namespace(n))
		policies = append(policies, compile(b, s.Policies(n)[i%5]))
	}
	resolver := cluster.PodOf(s.Pods(0)[0])
	b.Run("pod goes or comes", func(b *testing.B) {
		policytest.Percentiles(b, 1000, func(i int) {
			if p := pods[i/2%len(pods)]; i%2 == 0 {
				builder.DeletePod(p.Namespace, p.Name)
			} else {
				builder.SetPod(p)
			}
			builder.Snapshot()
		})
	})
	b.Run("resolver's pod goes or comes", func(b *testing.B) {
		policytest.Percentiles(b, 1000, func(i int) {
			if i%2 == 0 {
				builder.DeletePod(resolver.Namespace, resolver.Name)
			} else {
				builder.SetPod(resolver)
			}
			builder.Snapshot()
		})
	})
	b.Run("pod status", func(b *testing.B) {
		policytest.Percentiles(b, 1000, func(i int) {
			builder.SetPod(pods[i%len(pods)])
			builder.Snapshot()
		})
	})
	b.Run("policy", func(b *testing.B) {
		policytest.Percentiles(b, 1000, func(i int) {
			builder.SetPolicy(policies[i%len(policies)])
			builder.Snapshot()
		})
	})
	b.Run("namespace labels", func(b *testing.B) {
		policytest.Percentiles(b, 1000, func(i int) {
			ns := namespaces[i%len(namespaces)].DeepCopy()
			ns.Labels["edit"] = fmt.Sprint(i)
			builder.SetNamespace(ns)
			snapshot := builder.Snapshot()
			sel, _ := netpol.CompileSelector(metav1.LabelSelector{MatchLabels: map[string]string{"edit": fmt.Sprint(i)}})
			for range snapshot.SelectNamespaces(sel) { // makes the index
			}
		})
	})
}

// BenchmarkSnapshotWorst measures one event in the namespaces that cost most.
func BenchmarkSnapshotWorst(b *testing.B) {
	distinct, stateful := policytest.ManyWorkloads("large", 5000), policytest.LargeStatefulSet("large", 5000)
	byName := metav1.LabelSelector{MatchLabels: map[string]string{"statefulset.kubernetes.io/pod-name": "db-17"}}
	byPodName := compile(b, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: "by-name"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: byName},
	})
	b.Run("5000 workloads in a namespace", func(b *testing.B) { toggle(b, distinct) })
	b.Run("StatefulSet of 5000 selected by pod name", func(b *testing.B) { toggle(b, stateful, byPodName) })
	b.Run("first policy that selects pods everywhere by pod name", func(b *testing.B) {
		builder := filled(b, large())
		np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "by-name"}}
		np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &byName,
		}}}}
		p := compile(b, np)
		policytest.Percentiles(b, 1000, func(i int) {
			if i%2 == 0 {
				builder.SetPolicy(p)
			} else {
				builder.DeletePolicy(p.Namespace, p.Name)
			}
			builder.Snapshot()
		})
	})
}

func toggle(b *testing.B, pods []*corev1.Pod, policies ...*netpol.Policy) {
	b.Helper()
	builder := cluster.NewBuilder(cluster.Options{})
	for _, p := range pods {
		builder.SetPod(cluster.PodOf(p))
	}
	for _, p := range policies {
		builder.SetPolicy(p)
	}
	builder.Snapshot()
	one := cluster.PodOf(pods[len(pods)/2])
	policytest.Percentiles(b, 1000, func(i int) {
		if i%2 == 0 {
			builder.DeletePod(one.Namespace, one.Name)
		} else {
			builder.SetPod(one)
		}
		builder.Snapshot()
	})
}

func compile(b *testing.B, np *networkingv1.NetworkPolicy) *netpol.Policy {
	b.Helper()
	p, err := netpol.Compile(np)
	if err != nil {
		b.Fatal(err)
	}
	return p
}
