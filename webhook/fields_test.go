package webhook

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// fullPod says everything of which the snapshot keeps something.
const fullPod = `{
	"metadata": {"uid": "u", "namespace": "shop", "name": "api-0", "labels": {"app": "api", "statefulset.kubernetes.io/pod-name": "api-0"},
		"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"},
		"ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "api", "uid": "s", "controller": true}]},
	"spec": {
		"serviceAccountName": "op", "automountServiceAccountToken": true, "hostNetwork": false, "dnsPolicy": "Default",
		"volumes": [{"name": "data", "emptyDir": {}}, {"name": "token", "projected": {"sources": [{"configMap": {"name": "ca"}}, {"serviceAccountToken": {"path": "token"}}]}}],
		"initContainers": [
			{"name": "wait", "args": ["--wait=db:5432"]},
			{"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 4143}]}
		],
		"containers": [{
			"name": "main", "image": "api", "command": ["api"], "args": ["--cache", "cache:6379"],
			"env": [{"name": "DB_HOST", "value": "db"}, {"name": "DB_PORT", "value": "5432"}, {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
			"ports": [{"name": "http", "containerPort": 8080}],
			"readinessProbe": {"httpGet": {"path": "/", "port": 8081}}, "livenessProbe": {"tcpSocket": {"port": 8082}}, "startupProbe": {"grpc": {"port": 8083}}
		}]
	},
	"status": {"phase": "Running"}
}`

// TestFieldsHoldAll: what is decoded of an object in a review tells the snapshot as much as the whole object, and so does
// what is kept of a page of a list.
func TestFieldsHoldAll(t *testing.T) {
	decode := func(text string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	var fields podFields
	var whole corev1.Pod
	decode(fullPod, &fields)
	decode(fullPod, &whole)
	slim := slimPod(&whole)
	want := cluster.WorkloadOf(&whole)
	if uses := want.Uses(); len(uses) != 1 || !uses[0].Token || !uses[0].Scraped || len(uses[0].References) < 3 || len(want.Ports) < 5 {
		t.Fatalf("the pod says too little for this test: %+v, ports %v", uses, want.Ports)
	}
	for name, p := range map[string]*corev1.Pod{"review": fields.pod(), "list": &slim} {
		got := cluster.WorkloadOf(p)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(cluster.Workload{})); diff != "" || !got.SameUse(want) {
			t.Errorf("%s: uses %+v, want %+v (-want +got):\n%s", name, got.Uses(), want.Uses(), diff)
		}
		if *cluster.PodOf(p) != *cluster.PodOf(&whole) {
			t.Errorf("%s: the snapshot would keep something else", name)
		}
	}

	text := `{"metadata": {"namespace": "shop", "name": "api"}, "spec": {"template": ` + fullPod + `}}`
	var template templateFields
	var deployment appsv1.Deployment
	decode(text, &template)
	decode(text, &deployment)
	kept, _ := cluster.TemplateOf(&deployment)
	got := template.template("Deployment").Workload
	if diff := cmp.Diff(kept.Workload, got, cmpopts.IgnoreUnexported(cluster.Workload{})); diff != "" || !got.SameUse(kept.Workload) {
		t.Errorf("template: uses %+v, want %+v (-want +got):\n%s", got.Uses(), kept.Workload.Uses(), diff)
	}
}
