package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

func objects(t *testing.T, text string) []manifest.Object {
	t.Helper()
	r := &manifest.Reader{DefaultNamespace: "shop"}
	r.Add("f.yaml", []byte(text))
	out, err := r.Objects()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// contents writes what a snapshot holds, a line each.
func contents(s *cluster.Snapshot) []string {
	var out []string
	for n := range s.All() {
		out = append(out, fmt.Sprintf("namespace %s %v", n.Name, n.Labels))
		for _, w := range s.Live(n) {
			out = append(out, fmt.Sprintf("  live %s/%s %s pods=%d", w.Kind, w.Name, w.Labels, w.Pods))
		}
		for _, w := range n.Templates {
			out = append(out, fmt.Sprintf("  template %s/%s %s", w.Kind, w.Name, w.Labels))
		}
		for _, x := range n.Services {
			out = append(out, "  service "+x.Name)
		}
		for _, p := range n.Policies {
			out = append(out, "  policy "+p.Name)
		}
	}
	if tiers := s.Tiers(); tiers != nil {
		for _, tier := range tiers.Policies {
			for _, p := range tier {
				out = append(out, p.Kind+" "+p.Name)
			}
		}
	}
	return out
}

// running is a small cluster as "kubectl get -o yaml" shows it, with every way in which a pod gets its owner.
const running = `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a, kubernetes.io/metadata.name: wrong}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {metadata: {labels: {app: web}}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-1a, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}
spec: {template: {metadata: {labels: {app: web, pod-template-hash: 1a}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1a-x, labels: {app: web, pod-template-hash: 1a}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1a, uid: u, controller: true}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1a-y, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1a, uid: u, controller: true}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: report}}}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: report-17, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: report, uid: u, controller: true}]}
spec: {template: {metadata: {labels: {app: report}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: report-17-z, labels: {app: report}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: report-17, uid: u, controller: true}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done, labels: {app: report}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: report-17, uid: u, controller: true}]}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: lone, labels: {app: lone}}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: old, namespace: elsewhere}
spec: {template: {metadata: {labels: {app: old}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: base, namespace: ignored}
spec: {tier: Baseline, priority: 1, subject: {namespaces: {}}}
`

var runningContents = []string{
	"namespace elsewhere kubernetes.io/metadata.name=elsewhere",
	"  template ReplicationController/old app=old",
	"namespace shop kubernetes.io/metadata.name=shop,team=a",
	"  live Pod/lone app=lone pods=1",
	"  live CronJob/report app=report pods=1",
	"  live Deployment/web app=web pods=2",
	"  template CronJob/report app=report",
	"  template Deployment/web app=web",
	"  service web",
	"  policy deny",
	"ClusterNetworkPolicy base",
}

func TestBuild(t *testing.T) {
	all := objects(t, running)
	for range 20 {
		if diff := cmp.Diff(runningContents, contents(manifest.Build(all, cluster.Options{}))); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) // the order does not matter
	}
}

// TestForms: the same objects are the same cluster in every form in which tools print them.
func TestForms(t *testing.T) {
	documents := strings.Split(running, "\n---\n")
	var asJSON []string
	list := "apiVersion: v1\nkind: List\nitems:\n"
	for _, d := range documents {
		converted, err := yaml.YAMLToJSON([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		asJSON = append(asJSON, string(converted))
		list += "- " + strings.ReplaceAll(strings.TrimSuffix(d, "\n"), "\n", "\n  ") + "\n"
	}
	indented := bytes.Buffer{}
	if err := json.Indent(&indented, []byte(`{"apiVersion":"v1","kind":"List","items":[`+strings.Join(asJSON, ",")+"]}"), "", "\t"); err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{
		"list": list, "JSON list": indented.String(), "JSON values": strings.Join(asJSON, "\n"), "JSON documents": strings.Join(asJSON, "\n---\n"),
		"CRLF": strings.ReplaceAll(running, "\n", "\r\n"), "Helm": "---\n" + strings.ReplaceAll(running, "---\n", "---\n# Source: a.yaml\n---\n\n--- # b\n"),
	} {
		if diff := cmp.Diff(runningContents, contents(manifest.Build(objects(t, text), cluster.Options{}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
	}
}

// TestOwnersInACircle: owners that own each other are a mistake, not a reason to hang.
func TestOwnersInACircle(t *testing.T) {
	text := ""
	for i, kind := range []string{"ReplicaSet", "Job", "Pod"} {
		owner := []string{"Job", "ReplicaSet", "Job"}[i]
		text += fmt.Sprintf("---\napiVersion: %s/v1\nkind: %s\nmetadata: {name: a, ownerReferences: [{apiVersion: x/v1, kind: %s, name: a, uid: u, controller: true}]}\n",
			map[string]string{"ReplicaSet": "apps", "Job": "batch"}[kind], kind, owner)
	}
	text = strings.Replace(text, "apiVersion: /v1\nkind: Pod", "apiVersion: v1\nkind: Pod", 1)
	if n := manifest.Build(objects(t, text), cluster.Options{}).Stats().Pods; n != 1 {
		t.Errorf("%d pods, want 1", n)
	}
}

func TestApply(t *testing.T) {
	without := func(lines ...string) []string {
		return slices.DeleteFunc(slices.Clone(runningContents), func(l string) bool { return slices.Contains(lines, l) })
	}
	tests := []struct {
		name, change string
		want         []string
	}{
		{"nothing", "", runningContents},
		{"a new object", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: elsewhere}\nspec: {podSelector: {}}\n",
			slices.Insert(slices.Clone(runningContents), 2, "  policy deny")},
		{"a replaced namespace", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
			append(slices.Concat(runningContents[:2], []string{"namespace shop kubernetes.io/metadata.name=shop"}), runningContents[3:]...)},
		{"a workload with the same template keeps its pods", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 5, template: {metadata: {labels: {app: web}}}}\n",
			runningContents},
		{"a workload with other labels loses the old pods", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {metadata: {labels: {app: front}}}}\n",
			append(without("  live Deployment/web app=web pods=2", "  template Deployment/web app=web", "  service web", "  policy deny", "ClusterNetworkPolicy base"),
				"  template Deployment/web app=front", "  service web", "  policy deny", "ClusterNetworkPolicy base")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := objects(t, running)
			got := contents(manifest.Build(manifest.Apply(base, objects(t, tt.change)), cluster.Options{}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(runningContents, contents(manifest.Build(base, cluster.Options{}))); diff != "" {
				t.Errorf("what the change was laid over has changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	tests := []struct {
		name, change string
		missing      []string
		gone         []string
	}{
		{"a policy", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {}}\n", nil, []string{"  policy deny"}},
		{"a workload and what it made", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n", nil,
			[]string{"  live Deployment/web app=web pods=2", "  template Deployment/web app=web"}},
		{"a workload and what that made in turn", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: report}\n", nil,
			[]string{"  live CronJob/report app=report pods=1", "  template CronJob/report app=report"}},
		{"a namespace with all in it, though its object is not known", "apiVersion: v1\nkind: Namespace\nmetadata: {name: elsewhere}\n", nil, runningContents[:2]},
		{"what is not there", "apiVersion: v1\nkind: Service\nmetadata: {name: api}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: none}\n",
			[]string{"Service shop/api", "Namespace none"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			left, missing := manifest.Delete(objects(t, running), objects(t, tt.change))
			var names []string
			for i := range missing {
				names = append(names, missing[i].String())
			}
			if diff := cmp.Diff(tt.missing, names); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			want := slices.DeleteFunc(slices.Clone(runningContents), func(l string) bool { return slices.Contains(tt.gone, l) })
			if diff := cmp.Diff(want, contents(manifest.Build(left, cluster.Options{}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRefusesOtherKinds(t *testing.T) {
	if _, err := manifest.New(&appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "a"}}); err == nil {
		t.Error("a ControllerRevision was taken")
	}
}

// FuzzReader: whatever the bytes, there are objects or an error that names places within the file, and no panic.
func FuzzReader(f *testing.F) {
	f.Add([]byte(running))
	f.Add([]byte(everyKind))
	f.Add([]byte(deepList(3)))
	f.Add([]byte("--- x\n...\n%YAML\n---\r\n&a [*a]\n"))
	f.Add([]byte("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: &m {name: a, <<: [*m]}\nspec: {ingres: [{ports: [{port: {}}]}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &manifest.Reader{KeepText: true}
		r.Add("f", data)
		all, err := r.Objects()
		lines := 1 + strings.Count(string(data), "\n")
		if err != nil {
			var list *manifest.Error
			if !errors.As(err, &list) {
				t.Fatalf("an error that is no *manifest.Error: %v", err)
			}
			for _, p := range list.Problems {
				if p.Source.Line < 1 || p.Source.Line > lines || p.Source.Document < 1 || p.Message == "" {
					t.Errorf("%s: no place within %d lines", p, lines)
				}
			}
			return
		}
		for i := range all {
			for _, field := range []string{"", "metadata", "metadata.labels", "spec.egress[0].to[0].podSelector", "spec.ingress[0]", "spec.podSelector"} {
				if g, ok := all[i].Region(field); !ok || g.Line < 1 || g.EndLine < g.Line || g.EndLine > lines || g.Column < 1 ||
					g.EndLine == g.Line && g.EndColumn < g.Column {
					t.Errorf("%s of %s: %+v is no place within %d lines", field, &all[i], g, lines)
				}
			}
		}
		manifest.Build(manifest.Running(all), cluster.Options{})
	})
}
