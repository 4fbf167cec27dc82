package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

const placed = `# a comment
apiVersion: v1
kind: Pod
metadata: {name: first}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api
  annotations: &notes {a.b/c: "x]y", z: 'it''s'}
spec:
  podSelector:
    matchLabels: {app: api}
  policyTypes: [Ingress,
    Egress]
  egress:
  - to:
    - podSelector: {matchLabels: {app: db}} # the database
      namespaceSelector: {}
    - {ipBlock: {cidr: 10.0.0.0/8}}
    ports:
    - port: 5432
  ingress: []
`

func TestRegion(t *testing.T) {
	tests := []struct{ field, want, text string }{
		{"", "6:1-6:33", "apiVersion: networking.k8s.io/v1"},
		{"metadata.name", "9:3-9:12", "name: api"},
		{"metadata.annotations.a.b/c", "10:24-10:36", `a.b/c: "x]y"`},
		{"metadata.annotations", "10:3-10:49", `annotations: &notes {a.b/c: "x]y", z: 'it''s'}`},
		{"spec.podSelector", "12:3-13:28", "podSelector:"},
		{"spec.policyTypes", "14:3-15:12", "policyTypes: [Ingress,"},
		{"spec.policyTypes[1]", "15:5-15:11", "Egress"},
		{"spec.egress[0].to[0].podSelector", "18:7-18:44", "podSelector: {matchLabels: {app: db}}"},
		{"spec.egress[0].to[1].ipBlock.cidr", "20:18-20:34", "cidr: 10.0.0.0/8"},
		{"spec.egress[0].to[1]", "20:7-20:36", "{ipBlock: {cidr: 10.0.0.0/8}}"},
		{"spec.egress[0].to", "17:5-20:36", "to:"},
		{"spec.egress[0].ports[0].port", "22:7-22:17", "port: 5432"},
		{"spec.ingress", "23:3-23:14", "ingress: []"},
		{"spec.egress[0].ports[0].endPort", "22:7-22:11", "port"},
		{"spec.none[0].to", "11:1-11:5", "spec"},
	}
	for form, text := range map[string]string{"LF": placed, "CRLF": strings.ReplaceAll(placed, "\n", "\r\n")} {
		r := &manifest.Reader{KeepText: true}
		r.Add("f.yaml", []byte(text))
		objects, err := r.Objects()
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			t.Run(form+" "+tt.field, func(t *testing.T) {
				g, ok := objects[1].Region(tt.field)
				if got := fmt.Sprintf("%d:%d-%d:%d", g.Line, g.Column, g.EndLine, g.EndColumn); got != tt.want || !ok {
					t.Errorf("%s %t, want %s", got, ok, tt.want)
				}
				line := objects[1].Lines(g.Line, g.Line)[0][g.Column-1:]
				if g.EndLine == g.Line {
					line = line[:g.EndColumn-g.Column]
				}
				if line != tt.text {
					t.Errorf("it holds %q, want %q", line, tt.text)
				}
			})
		}
	}
}

// TestRegionOfListItems: the objects of a list, of JSON and behind an alias have places too.
func TestRegionOfListItems(t *testing.T) {
	tests := []struct{ name, text, field, want string }{
		{"list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n", "metadata.name", "7:5-7:12"},
		{"JSON with tabs", "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"a\"}\n}\n", "metadata.name", "3:15-3:26"},
		{"alias", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: &l {x: z}, annotations: *l}\n", "metadata.annotations", "3:40-3:55"},
		{"wide characters", "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {\"é\": ü}, name: a}\n", "metadata.name", "3:35-3:42"},
		{"a text of several lines", "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    a: |\n      one\n      two\n  name: a\n", "metadata.annotations", "4:3-7:10"},
		{"quotes that hold quotes", "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {a: \"\\\\\", b: \"}\\\"}\"}, name: a}\n", "metadata.annotations", "3:12-3:45"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &manifest.Reader{KeepText: true}
			r.Add("f.yaml", []byte(tt.text))
			objects, err := r.Objects()
			if err != nil {
				t.Fatal(err)
			}
			g, _ := objects[0].Region(tt.field)
			if got := fmt.Sprintf("%d:%d-%d:%d", g.Line, g.Column, g.EndLine, g.EndColumn); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestRegionWithoutText(t *testing.T) {
	all := objects(t, placed)
	if _, ok := all[0].Region("metadata"); ok || all[0].Lines(1, 3) != nil {
		t.Error("an object whose text was not kept has a place")
	}
}

// TestRunning: templates run as often as they ask for, and not where their pods are there.
func TestRunning(t *testing.T) {
	const template = "template: {metadata: {labels: {app: a}}, spec: {containers: [{ports: [{name: http, containerPort: 80}]}]}}"
	object := func(kind, spec string) string {
		group := map[string]string{"Job": "batch/v1", "CronJob": "batch/v1", "ReplicationController": "v1"}[kind]
		if group == "" {
			group = "apps/v1"
		}
		return fmt.Sprintf("---\napiVersion: %s\nkind: %s\nmetadata: {name: a}\nspec: {%s}\n", group, kind, spec)
	}
	const pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: b}, ownerReferences: [{apiVersion: apps/v1, kind: %s, name: %s, uid: u, controller: true}]}\n"
	const set = "---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: odd, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: a, uid: u, controller: true}]}\nspec: {template: {}}\n"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"replicas by default", object("Deployment", template), []string{"Deployment/a app=a 1"}},
		{"replicas", object("StatefulSet", "replicas: 3, "+template), []string{"StatefulSet/a app=a 3"}},
		{"more than anybody has to count", object("ReplicaSet", "replicas: 2000000000, "+template), []string{"ReplicaSet/a app=a 1000"}},
		{"less than none", object("Deployment", "replicas: -1, "+template), nil},
		{"scaled to zero", object("ReplicationController", "replicas: 0, "+template), nil},
		{"one of a DaemonSet", object("DaemonSet", template), []string{"DaemonSet/a app=a 1"}},
		{"parallelism", object("Job", "parallelism: 2, "+template), []string{"Job/a app=a 2"}},
		{"a suspended job", object("Job", "suspend: true, "+template), nil},
		{"a finished job", strings.Replace(object("Job", template), "spec:", "status: {conditions: [{type: Complete, status: \"True\"}]}\nspec:", 1), nil},
		{"a suspended CronJob", object("CronJob", "suspend: true, jobTemplate: {spec: {"+template+"}}"), nil},
		{"a CronJob", object("CronJob", "jobTemplate: {spec: {"+template+"}}"), []string{"CronJob/a app=a 1"}},
		{"its pod is there", object("StatefulSet", template) + fmt.Sprintf(pod, "StatefulSet", "a"), []string{"StatefulSet/a app=b 1"}},
		{"its pod is there, of a ReplicaSet that is", object("Deployment", template) + set + fmt.Sprintf(pod, "ReplicaSet", "odd"), []string{"Deployment/a app=b 1"}},
		{"its pod is there, of a ReplicaSet that is not", object("Deployment", template) +
			strings.Replace(fmt.Sprintf(pod, "ReplicaSet", "a-1a"), "app: b", "app: b, pod-template-hash: 1a", 1), []string{"Deployment/a app=b 1"}},
		{"another's pod is there", object("Deployment", template) + fmt.Sprintf(pod, "StatefulSet", "a"), []string{"Deployment/a app=a 1", "StatefulSet/a app=b 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := objects(t, tt.text)
			s := manifest.Build(manifest.Running(all), cluster.Options{})
			var got []string
			for _, w := range s.Live(s.Namespace("shop")) {
				got = append(got, fmt.Sprintf("%s/%s %s %d", w.Kind, w.Name, w.Labels, w.Pods))
				if w.Labels["app"] == "a" && (len(w.Ports) != 1 || w.Ports[0].Name != "http" || w.Ports[0].Number != 80) {
					t.Errorf("ports %v, want http on 80", w.Ports)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestJudgedForms: what judging a change takes is kept with the defaults of the API server.
func TestJudgedForms(t *testing.T) {
	const port = "{port: 53}"
	text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, labels: {a: b}}\nspec: {podSelector: {}, egress: [{ports: [" + port + "]}]}\n---\n" +
		"apiVersion: v1\nkind: Pod\nmetadata: {name: lone, labels: {app: lone, job-name: j}}\nspec: {hostNetwork: true, dnsPolicy: None}\n---\n" +
		"apiVersion: v1\nkind: Pod\nmetadata: {name: owned, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: s, uid: u, controller: true}]}\n---\n" +
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n"
	all := objects(t, text)
	np := all[0].NetworkPolicy()
	if got := fmt.Sprintln(np.Spec.PolicyTypes, *np.Spec.Egress[0].Ports[0].Protocol, np.Namespace, np.Name, np.Labels, all[0].WritesPolicyTypes()); got != "[Ingress Egress] TCP shop p map[a:b] false\n" {
		t.Errorf("policy %s", got)
	}
	w := all[1].Workload()
	if got := fmt.Sprintln(w.Kind, w.Name, w.Labels, w.Pods, w.HostNetwork, w.DNSPolicy, w.Template); got != "Pod lone app=lone,job-name=j 1 true None false\n" {
		t.Errorf("pod %s", got)
	}
	if all[2].Workload() != nil {
		t.Error("a pod that a StatefulSet made is judged by itself")
	}
	if ns := all[3].NamespaceObject(); ns == nil || ns.Labels["kubernetes.io/metadata.name"] != "other" || all[0].NamespaceObject() != nil {
		t.Errorf("namespace %v", ns)
	}
}
