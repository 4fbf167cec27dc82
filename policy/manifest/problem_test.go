package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

func TestProblems(t *testing.T) {
	policy := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api, namespace: shop}\nspec:\n"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"broken YAML", "# web\n" + pod + "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: b\n labels: {}\n", []string{
			"f.yaml:9 (document 2): not valid YAML: did not find expected key",
		}},
		{"broken JSON", "{\"apiVersion\": \"v1\"\n\"kind\": \"Pod\"}\n", []string{
			"f.yaml:1 (document 1): not valid YAML: did not find expected ',' or '}'",
		}},
		{"template", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Values.name }}\n", []string{
			"f.yaml:4 (document 1): not valid YAML: a key has to be a string; this looks like a template: render it first, for example with helm template",
		}},
		{"separator with text", pod + "---apiVersion: v1\nkind: Pod\n", []string{
			`f.yaml:4 (document 2): nothing but a comment may follow --- on its line, but "apiVersion: v1" does; put it on a line of its own`,
		}},
		{"UTF-16", "\xff\xfea\x00", []string{
			"f.yaml:1 (document 1): the file is UTF-16; save it as UTF-8",
		}},
		{"a text", "hello\n", []string{
			"f.yaml:1 (document 1): not a Kubernetes object, but a string; an object is a mapping with apiVersion and kind",
		}},
		{"a list", "- a\n- b\n", []string{
			"f.yaml:1 (document 1): not a Kubernetes object, but a list; an object is a mapping with apiVersion and kind",
		}},
		{"a number", "7\n", []string{
			"f.yaml:1 (document 1): not a Kubernetes object, but a single value; an object is a mapping with apiVersion and kind",
		}},
		{"no kind", "apiVersion: v1\nmetadata: {name: a}\n", []string{
			"f.yaml:1 (document 1): no kind; every Kubernetes object has apiVersion, kind and metadata.name",
		}},
		{"no kind nor apiVersion", "replicas: 3\nimage: nginx\n", []string{
			"f.yaml:1 (document 1): no kind; every Kubernetes object has apiVersion, kind and metadata.name",
		}},
		{"no apiVersion", "kind: Deployment\nmetadata: {name: a}\n", []string{
			"f.yaml:1 (document 1): no apiVersion; for Deployment write apiVersion: apps/v1",
		}},
		{"no apiVersion, unknown kind", "kind: Widget\nmetadata: {name: a}\n", []string{
			"f.yaml:1 (document 1): no apiVersion; every Kubernetes object has apiVersion, kind and metadata.name",
		}},
		{"kind that is no text", "apiVersion: v1\nkind: [Pod]\n", []string{
			"f.yaml:2 (document 1): kind: has to be a string, but is a list",
		}},
		{"kind in the wrong case", "apiVersion: networking.k8s.io/v1\nkind: Networkpolicy\nmetadata: {name: a}\n", []string{
			`f.yaml:2 (document 1): kind: "Networkpolicy" is no kind; did you mean "NetworkPolicy"?`,
		}},
		{"no name", "apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: a-\n", []string{
			"f.yaml:3 (document 1): Pod has no metadata.name; give it one",
		}},
		{"invalid names", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: My_Pod\n  namespace: a.b\n", []string{
			`f.yaml:4 (document 1): metadata.name: invalid value "My_Pod": use at most 253 lower-case letters, digits, - and ., with a letter or digit at both ends`,
			`f.yaml:5 (document 1): metadata.namespace: invalid value "a.b": use at most 63 lower-case letters, digits and -, with a letter or digit at both ends`,
		}},
		{"old apiVersion", "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n", []string{
			"f.yaml:1 (document 1): apiVersion: no supported Kubernetes serves Deployment as extensions/v1beta1; convert it to apps/v1",
		}},
		{"wrong group", "apiVersion: v1\nkind: NetworkPolicy\nmetadata: {name: a}\n", []string{
			"f.yaml:1 (document 1): apiVersion: no supported Kubernetes serves NetworkPolicy as v1; convert it to networking.k8s.io/v1",
		}},
		{"twice", pod + "---\n" + pod, []string{
			"f.yaml:5 (document 2): Pod shop/a is already in f.yaml:1 (document 1); keep one of them",
		}},
		{"unknown field with a near one", policy + "  podSelector: {}\n  ingress:\n  - form:\n    - podSelector: {}\n", []string{
			`f.yaml:7 (document 1): spec.ingress[0].form: unknown field; did you mean "from"?`,
		}},
		{"unknown field without a near one", policy + "  podSelector: {}\n  comment: hello\n", []string{
			"f.yaml:6 (document 1): spec.comment: unknown field; known here: egress, ingress, podSelector, policyTypes",
		}},
		{"unknown field in the metadata", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a\n  label: {}\nspec: {podSelector: {}}\n", []string{
			`f.yaml:5 (document 1): metadata.label: unknown field; did you mean "labels"?`,
		}},
		{"unknown field of a tier", "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\nspec:\n  tier: Admin\n  priority: 1\n  subjects: {namespaces: {}}\n  subject: {namespaces: {}}\n", []string{
			`f.yaml:7 (document 1): spec.subjects: unknown field; did you mean "subject"?`,
		}},
		{"key twice in a policy", policy + "  podSelector: {}\n  ingress: []\n  ingress: []\n", []string{
			"f.yaml:7 (document 1): ingress: the mapping has this key twice; keep one of them",
		}},
		{"key twice in a policy written in JSON", `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"a"},` + "\n" + `"spec":{"podSelector":{},` + "\n\"podSelector\":{}}}", []string{
			"f.yaml:3 (document 1): spec.podSelector: the mapping has this key twice; keep one of them",
		}},
		{"bare y in a selector", policy + "  podSelector:\n    matchLabels:\n      app: web\n      tls: y\n", []string{
			"f.yaml:8 (document 1): spec.podSelector.matchLabels.tls: has to be a string, but is a boolean (unquoted, y, n, yes, no, on and off are booleans too); put it in quotes",
		}},
		{"number as a label", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    metadata:\n      labels:\n        version: 1.0\n", []string{
			"f.yaml:8 (document 1): spec.template.metadata.labels.version: has to be a string, but is a number; put it in quotes",
		}},
		{"text for a list", policy + "  podSelector: {}\n  policyTypes: Egress\n", []string{
			"f.yaml:6 (document 1): spec.policyTypes: has to be a list, but is a string",
		}},
		{"list for a mapping", policy + "  podSelector: []\n", []string{
			"f.yaml:5 (document 1): spec.podSelector: has to be a mapping, but is a list",
		}},
		{"not what the policy's compiler takes", policy + "  podSelector: {}\n  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.0.0.0/33\n    ports:\n    - port: 70000\n", []string{
			`f.yaml:9 (document 1): NetworkPolicy shop/api: spec.egress[0].to[0].ipBlock.cidr: invalid value "10.0.0.0/33": use a CIDR such as 10.0.0.0/8 or fd00::/8`,
			`f.yaml:11 (document 1): NetworkPolicy shop/api: spec.egress[0].ports[0].port: invalid value "70000": use a port from 1 to 65535`,
		}},
		{"unparsable selector", policy + "  podSelector:\n    matchExpressions:\n    - {key: app, operator: Is, values: [a]}\n", []string{
			`f.yaml:5 (document 1): NetworkPolicy shop/api: spec.podSelector: "Is" is not a valid label selector operator`,
		}},
		{"tier that does not compile", "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: base}\nspec:\n  subject: {}\n", []string{
			`f.yaml:3 (document 1): BaselineAdminNetworkPolicy base: metadata.name: invalid value "base": a cluster has one BaselineAdminNetworkPolicy, named "default"`,
			`f.yaml:5 (document 1): BaselineAdminNetworkPolicy base: spec.subject: invalid value "": set one of namespaces and pods`,
		}},
		{"in a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {name: a}\n  spec:\n    podSelector: {}\n    egres: []\n", []string{
			`f.yaml:9 (document 1): spec.egres: unknown field; did you mean "egress"?`,
		}},
		{"unparsable selector of a controller", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector:\n    matchExpressions: [{key: app, operator: In}]\n", []string{
			"f.yaml:5 (document 1): spec.selector: values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty",
		}},
		{"label that is none", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    app: not a label\n", []string{
			`f.yaml:6 (document 1): metadata.labels.app: invalid value "not a label": use at most 63 letters, digits, -, _ and ., with a letter or digit at both ends`,
		}},
		{"port that is no port", policy + "  podSelector: {}\n  ingress:\n  - ports:\n    - port: {}\n", []string{
			"f.yaml:6 (document 1): spec.ingress.ports.port: has to be a whole number, but is a mapping",
		}},
		{"container ports", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - name: a\n            ports:\n            - containerPort: 80800\n            - containerPort: 80\n              protocol: HTTP\n", []string{
			`f.yaml:12 (document 1): spec.jobTemplate.spec.template.spec.containers[0].ports[0].containerPort: invalid value "80800": use a port from 1 to 65535`,
			`f.yaml:14 (document 1): spec.jobTemplate.spec.template.spec.containers[0].ports[1].protocol: invalid value "HTTP": use TCP, UDP or SCTP`,
		}},
		{"alias to nothing", "apiVersion: v1\nkind: Pod\nmetadata: *m\n", []string{
			"f.yaml:1 (document 1): not valid YAML: unknown anchor 'm' referenced",
		}},
		{"too many lists", deepList(6), []string{
			"f.yaml:1 (document 1): lists within lists, too deep to be meant; write the objects out",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems, _ := read(t, "f.yaml", tt.text)
			if diff := cmp.Diff(tt.want, problems); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func deepList(n int) string {
	text := `{"apiVersion":"v1","kind":"List","items":[`
	return strings.Repeat(text, n) + strings.Repeat("]}", n)
}

func TestManyProblems(t *testing.T) {
	r := &manifest.Reader{}
	r.Add("b.yaml", []byte("kind: Pod\n"))
	for i := range 30 {
		r.Add(fmt.Sprintf("a%02d.yaml", i), []byte(pod))
	}
	_, err := r.Objects()
	lines := strings.Split(err.Error(), "\n")
	want := []string{"30 problems:", "  b.yaml:1 (document 1): no apiVersion; for Pod write apiVersion: v1",
		"  a01.yaml:1 (document 1): Pod shop/a is already in a00.yaml:1 (document 1); keep one of them"}
	if diff := cmp.Diff(want, lines[:3]); diff != "" {
		t.Errorf("the first lines (-want +got):\n%s", diff)
	}
	if len(lines) != 22 || lines[21] != "  +10 more" {
		t.Errorf("%d lines, the last %q; want 22 and +10 more", len(lines), lines[len(lines)-1])
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"form", "from"}, {"FROM", "from"}, {"port", "ports"}, {"egres", "egress"}, {"comment", ""}, {"", ""}, {strings.Repeat("f", 1000), ""},
	} {
		if got := manifest.Nearest(tt.name, []string{"from", "ports", "egress"}); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}
