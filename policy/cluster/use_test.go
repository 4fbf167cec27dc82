package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

func podUsing(name, uid string, edit func(p *corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "web"}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	p.UID = "u"
	if uid == "" {
		p.UID = ""
	}
	if edit != nil {
		edit(p)
	}
	return p
}

func token(audience string) corev1.Volume {
	return corev1.Volume{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience}},
	}}}}
}

func TestUse(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name, uid string
		edit      func(p *corev1.Pod)
		want      cluster.Use
	}{
		{"as written, admission mounts a token", "", nil, cluster.Use{ServiceAccount: "default", Token: true}},
		{"as written, without", "", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = &no }, cluster.Use{ServiceAccount: "default"}},
		{"stored without a token: its account asked for none", "u", nil, cluster.Use{ServiceAccount: "default"}},
		{"stored without a token, though the pod asks for one: admission knows better", "u", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = &yes }, cluster.Use{ServiceAccount: "default"}},
		{"stored with a token", "u", func(p *corev1.Pod) {
			p.Spec.ServiceAccountName, p.Spec.Volumes = "op", []corev1.Volume{{Name: "data"}, token("")}
		}, cluster.Use{ServiceAccount: "op", Token: true}},
		{"a token for somebody else than the API server", "u", func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{token("vault")} }, cluster.Use{ServiceAccount: "default"}},
		{"scraped", "u", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}
		}, cluster.Use{ServiceAccount: "default", Scraped: true, ScrapePort: 9090}},
		{"scraped on what it declares", "u", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "web"}
		}, cluster.Use{ServiceAccount: "default", Scraped: true}},
		{"not scraped", "u", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"prometheus.io/scrape": "false", "prometheus.io/port": "9090"}
		}, cluster.Use{ServiceAccount: "default"}},
	} {
		p := podUsing("web", tt.uid, tt.edit)
		if diff := cmp.Diff([]cluster.Use{tt.want}, cluster.WorkloadOf(p).Uses()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff([]cluster.Use{tt.want}, cluster.PodOf(p).Workload().Uses()); diff != "" {
			t.Errorf("%s, kept (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestUsesOfWorkload: pods that no policy can tell apart are one workload however they differ in their use, and each way is
// told once.
func TestUsesOfWorkload(t *testing.T) {
	b := cluster.NewBuilder(cluster.Options{})
	env := func(value string) func(p *corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.ServiceAccountName = "op"
			p.Spec.Containers = []corev1.Container{{Env: []corev1.EnvVar{{Name: "ADDR", Value: value}}}}
		}
	}
	for name, edit := range map[string]func(p *corev1.Pod){"a": env("db:5432"), "b": env("db:5432"), "c": env("cache:6379"), "d": nil} {
		b.SetPod(cluster.PodOf(podUsing(name, "u", edit)))
	}
	s := b.Snapshot()
	live := s.Live(s.Namespace("shop"))
	if len(live) != 1 || live[0].Pods != 4 {
		t.Fatalf("%d workloads, want one of four pods", len(live))
	}
	reference := func(host string, port uint16) []cluster.Reference {
		return []cluster.Reference{{Source: "env ADDR", Host: host, Port: port}}
	}
	want := []cluster.Use{
		{ServiceAccount: "default"}, {ServiceAccount: "op", References: reference("cache", 6379)}, {ServiceAccount: "op", References: reference("db", 5432)},
	}
	if diff := cmp.Diff(want, live[0].Uses()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.DeletePod("shop", "c")
	b.DeletePod("shop", "d")
	s = b.Snapshot()
	if got := s.Live(s.Namespace("shop"))[0].Uses(); len(got) != 1 {
		t.Errorf("%+v is left, want one way", got)
	}
}

// TestPodOfTemplate: the pods that a template makes use what the template says.
func TestPodOfTemplate(t *testing.T) {
	spec := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "pod-template-hash": "1"}},
		Spec: corev1.PodSpec{ServiceAccountName: "op", Containers: []corev1.Container{{
			Env: []corev1.EnvVar{{Name: "DB", Value: "db:5432"}}, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}},
		}}},
	}
	w := cluster.NewTemplate("Deployment", &metav1.ObjectMeta{Namespace: "shop", Name: "web"}, spec).Workload
	b := cluster.NewBuilder(cluster.Options{})
	b.SetPod(w.Pod("x"))
	s := b.Snapshot()
	live := s.Live(s.Namespace("shop"))
	if len(live) != 1 {
		t.Fatalf("%d workloads, want one", len(live))
	}
	got := live[0]
	if diff := cmp.Diff(w.Uses(), got.Uses()); diff != "" || got.Kind != "Deployment" || got.Name != "web" || got.Pods != 1 {
		t.Errorf("%s %s of %d pods (-want +got):\n%s", got.Kind, got.Name, got.Pods, diff)
	}
	if diff := cmp.Diff(w.Ports, got.Ports); diff != "" || got.Labels["app"] != "web" || got.Labels["pod-template-hash"] != "" {
		t.Errorf("labels %v, ports (-want +got):\n%s", got.Labels, diff)
	}
	if p := w.Pod("x").OwnedBy("Rollout", "edge").Workload(); p.Kind != "Rollout" || p.Name != "edge" {
		t.Errorf("made by %s %s", p.Kind, p.Name)
	}
}
