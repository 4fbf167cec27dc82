package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// read gives the objects of one file as "Kind namespace/name @line(document)", and the problems.
func read(t *testing.T, file, text string) (objects []string, problems []string, skipped map[string]int) {
	t.Helper()
	r := &manifest.Reader{}
	r.Add(file, []byte(text))
	got, err := r.Objects()
	for i := range got {
		objects = append(objects, fmt.Sprintf("%s @%d(%d)", &got[i], got[i].Source.Line, got[i].Source.Document))
	}
	var list *manifest.Error
	if errors.As(err, &list) {
		for _, p := range list.Problems {
			problems = append(problems, p.String())
		}
	} else if err != nil {
		t.Fatalf("an error that is no *manifest.Error: %v", err)
	}
	return objects, problems, r.Skipped()
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n"

func TestDocuments(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		skipped    map[string]int
	}{
		{"nothing", "", nil, nil},
		{"comments alone", "# nothing here\n---\n---\n# nor here\n", nil, nil},
		{"one", pod, []string{"Pod shop/a @1(1)"}, nil},
		{"no newline at the end", strings.TrimSuffix(pod, "\n"), []string{"Pod shop/a @1(1)"}, nil},
		{"byte order mark and CRLF", "\xef\xbb\xbf" + strings.ReplaceAll(pod+"---\n"+strings.Replace(pod, "name: a", "name: b", 1), "\n", "\r\n"),
			[]string{"Pod shop/a @1(1)", "Pod shop/b @5(2)"}, nil},
		{"byte order mark after a separator, as concatenated files have", pod + "---\n\xef\xbb\xbf" + strings.Replace(pod, "name: a", "name: b", 1),
			[]string{"Pod shop/a @1(1)", "Pod shop/b @5(2)"}, nil},
		{"helm template", "---\n# Source: shop/templates/a.yaml\n" + pod + "---\n# Source: shop/templates/empty.yaml\n---\n\n---  \n" +
			"# Source: shop/templates/cm.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
			[]string{"Pod shop/a @3(1)"}, map[string]int{"ConfigMap": 1}},
		{"comment on the separator", "--- # first\n" + pod + "--- # end", []string{"Pod shop/a @2(1)"}, nil},
		{"directive and end marks", "%YAML 1.1\n---\n" + pod + "...\n" + strings.Replace(pod, "name: a", "name: b", 1),
			[]string{"Pod shop/a @3(1)", "Pod shop/b @7(2)"}, nil},
		{"separator within a text", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  x: |\n    ---\n    kind: Pod\n", nil, map[string]int{"ConfigMap": 1}},
		{"anchors and merges", "apiVersion: v1\nkind: List\nitems:\n- &p\n  apiVersion: v1\n  kind: Pod\n  metadata: &m {name: a, namespace: shop}\n- <<: *p\n  metadata:\n    <<: *m\n    name: b\n",
			[]string{"Pod shop/a @4(1)", "Pod shop/b @8(1)"}, nil},
		{"list of kubectl get", "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: shop\n- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: s\nkind: List\nmetadata:\n  resourceVersion: \"\"\n",
			[]string{"Namespace shop @3(1)"}, map[string]int{"Secret": 1}},
		{"typed list, items without kind", "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- metadata: {name: web}\n- metadata: {name: api, namespace: shop}\n",
			[]string{"Deployment default/web @4(1)", "Deployment shop/api @5(1)"}, nil},
		{"list in a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items:\n  - metadata: {name: a}\n", []string{"Pod default/a @7(1)"}, nil},
		{"empty lists", "apiVersion: v1\nkind: List\nitems: []\n---\napiVersion: v1\nkind: List\n", nil, nil},
		{"a kind that only ends with List", "apiVersion: x.example.com/v1\nkind: AllowList\nmetadata: {name: a}\n", nil, map[string]int{"AllowList": 1}},
		{"JSON with tabs", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n", []string{"Pod default/a @1(1)"}, nil},
		{"JSON values one after the other", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}\n\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\"}}",
			[]string{"Pod default/a @1(1)", "Pod default/b @3(2)"}, nil},
		{"JSON list", "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"List\",\n\t\"items\": [\n\t\t{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n\t]\n}", []string{"Pod default/a @5(1)"}, nil},
		{"YAML that starts like JSON", "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: b}}\n",
			[]string{"Pod default/a @1(1)", "Pod default/b @3(2)"}, nil},
		{"same names of another group", "apiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\n---\napiVersion: crd.projectcalico.org/v1\nkind: NetworkPolicy\nmetadata: {name: b}\n",
			nil, map[string]int{"NetworkPolicy.crd.projectcalico.org": 2, "Service.serving.knative.dev": 1}},
		{"unknown fields of what is no policy", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {newField: 1}\n", []string{"Pod default/a @1(1)"}, nil},
		{"key twice in what is no policy", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: a, x: b}}\n", []string{"Pod default/a @1(1)"}, nil},
		{"every kind", everyKind, []string{
			"Namespace shop @1(1)", "Pod default/a @5(2)", "Service default/a @9(3)", "ReplicationController default/a @13(4)",
			"Deployment default/a @17(5)", "StatefulSet default/a @21(6)", "DaemonSet default/a @25(7)", "ReplicaSet default/a @29(8)",
			"Job default/a @33(9)", "CronJob default/a @37(10)", "NetworkPolicy default/a @41(11)", "ClusterNetworkPolicy a @46(12)",
			"AdminNetworkPolicy a @51(13)", "BaselineAdminNetworkPolicy default @56(14)",
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			objects, problems, skipped := read(t, "f.yaml", tt.text)
			if diff := cmp.Diff(tt.want, objects); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if len(problems) > 0 {
				t.Errorf("problems: %q", problems)
			}
			if diff := cmp.Diff(tt.skipped, skipped); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}

const everyKind = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: a}
---
apiVersion: v1
kind: Service
metadata: {name: a}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: a}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: a}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a}
---
apiVersion: batch/v1
kind: Job
metadata: {name: a}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: a}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {podSelector: {}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: a}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: a}
spec: {priority: 1, subject: {namespaces: {}}}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec: {subject: {namespaces: {}}}
`

// TestGroups: the API groups of custom resources, and not those of Kubernetes, whatever it makes of their kinds.
func TestGroups(t *testing.T) {
	r := &manifest.Reader{}
	r.Add("f.yaml", []byte("apiVersion: kafka.strimzi.io/v1beta2\nkind: Kafka\nmetadata: {name: a}\n---\n"+
		"apiVersion: acme.cert-manager.io/v1\nkind: Order\nmetadata: {name: a}\n---\napiVersion: kafka.strimzi.io/v1beta2\nkind: KafkaTopic\nmetadata: {name: a}\n---\n"+
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n"+
		"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"))
	if diff := cmp.Diff([]string{"acme.cert-manager.io", "kafka.strimzi.io"}, r.Groups()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
