package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

const denyAll = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n"

// lintFile writes a manifest and gives its path.
func lintFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dnsAPI is a live cluster with a DNS resolver and two pods of the namespace shop.
func dnsAPI() *fakeAPI {
	api := newFakeAPI()
	api.lists["/api/v1/services"] = []string{`{"metadata":{"namespace":"kube-system","name":"kube-dns"},"spec":{"selector":{"k8s-app":"kube-dns"},` +
		`"ports":[{"protocol":"UDP","port":53},{"protocol":"TCP","port":53}]}}`}
	api.lists["/api/v1/pods"] = []string{podJSON("shop", "web-1", "web"), podJSON("shop", "web-2", "web"),
		`{"metadata":{"namespace":"kube-system","name":"dns","labels":{"k8s-app":"kube-dns"}},"spec":{"dnsPolicy":"Default"},"status":{"phase":"Running"}}`}
	return api
}

// TestLintLive: onto a live cluster, which needs rights to list and no others. Manifests that name no namespace go to the
// context's.
func TestLintLive(t *testing.T) {
	api := dnsAPI()
	path := lintFile(t, denyAll)
	stdout, stderr, err := command(t, "lint", "-f", path, "--kubeconfig", api.kubeconfig(t))
	if err == nil || exitCode(err) != 1 || stderr != "" {
		t.Fatalf("error %v, standard error %q", err, stderr)
	}
	for _, want := range []string{":4:1: error: dns-cut: 2 live pods (app=web) lose DNS", "in NetworkPolicy shop/deny;", "\n1 error, 0 warnings; 1 object judged\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}

	// What runs there with the policy that the manifests hold: nothing changes.
	api = dnsAPI()
	api.lists["/apis/networking.k8s.io/v1/networkpolicies"] = []string{
		`{"metadata":{"namespace":"shop","name":"deny"},"spec":{"podSelector":{},"policyTypes":["Ingress","Egress"]}}`}
	stdout, _, err = command(t, "lint", "-f", path, "--kubeconfig", api.kubeconfig(t))
	if err != nil || stdout != "0 errors, 0 warnings; 0 objects judged\n" {
		t.Errorf("%v\n%s", err, stdout)
	}

	// A live cluster is all that there is: without its DNS nothing can be said of DNS.
	api = dnsAPI()
	api.refused["/api/v1/services"] = http.StatusForbidden
	stdout, stderr, err = command(t, "lint", "-f", path, "--kubeconfig", api.kubeconfig(t))
	want := "0 errors, 0 warnings; 1 object judged\nincomplete: services may not be listed: the DNS resolver may not be found\n"
	if err != nil || stdout != want || stderr != "warning: services may not be listed: the DNS resolver may not be found\n" {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
}

// TestLintExitCodes: 1 is for findings alone, whatever else goes wrong.
func TestLintExitCodes(t *testing.T) {
	down := newFakeAPI()
	down.refused["/api/v1/pods"] = http.StatusInternalServerError
	const pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"clean", []string{"-f", lintFile(t, denyAll)}, 0},
		{"findings", []string{"-f", lintFile(t, denyAll+pod)}, 1},
		{"findings that do not count", []string{"-f", lintFile(t, denyAll+pod), "--fail-on", "never"}, 0},
		{"wrong flag", []string{"--nonsense"}, 2},
		{"surplus word", []string{"lint", "-f", lintFile(t, denyAll)}, 2},
		{"wrong manifest", []string{"-f", lintFile(t, "kind: Pod\n")}, 2},
		{"wrong folder to write to", []string{"-f", lintFile(t, denyAll+pod), "--output-file", "/nonsense/out"}, 2},
		{"wrong folder of the baseline", []string{"-f", lintFile(t, denyAll+pod), "--baseline", "/nonsense/out", "--write-baseline"}, 2},
		{"no cluster", []string{"-f", lintFile(t, denyAll), "--kubeconfig", "/nonsense"}, 2},
		{"a cluster that fails", []string{"-f", lintFile(t, denyAll), "--kubeconfig", down.kubeconfig(t)}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := command(t, append([]string{"lint"}, tt.args...)...)
			got := 0
			if err != nil {
				got = exitCode(err)
			}
			if got != tt.want {
				t.Errorf("exit code %d, want %d: %v", got, tt.want, err)
			}
		})
	}
}

// documentedSchema gives the JSON Schema that a page of the documentation has.
func documentedSchema(t *testing.T, page string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```json\n{\n  \"$schema\"")
	text, _, ok := strings.Cut(rest, "\n```")
	if !ok {
		t.Fatalf("docs/%s has no schema", page)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader("{\n  \"$schema\"" + text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestLintJSONIsDocumented: the schema in docs/lint.md holds for a report, and allows nothing else.
func TestLintJSONIsDocumented(t *testing.T) {
	schema := documentedSchema(t, "lint.md")
	stdout, _, _ := command(t, "lint", "-o", "json", "-f", lintFile(t, denyAll+
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web}\n---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n"))
	var report map[string]any
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(report); err != nil || len(report["findings"].([]any)) != 1 || len(report["incomplete"].([]any)) != 1 {
		t.Errorf("%v\n%s", err, stdout)
	}
	report["surplus"] = true
	if schema.Validate(report) == nil {
		t.Error("the schema allows a field that it does not name")
	}
}

// TestHook: what pre-commit reads has the keys that it asks for, and calls a command that there is.
// Source: https://pre-commit.com/#creating-new-hooks
func TestHook(t *testing.T) {
	data, err := os.ReadFile("../../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []struct{ ID, Name, Entry, Language, Files string }
	if err := yaml.Unmarshal(data, &hooks); err != nil || len(hooks) != 1 {
		t.Fatal(hooks, err)
	}
	h := hooks[0]
	if h.ID != "bulkhead-lint" || h.Name == "" || h.Language != "golang" || !regexp.MustCompile(h.Files).MatchString("deploy/a.yaml") {
		t.Errorf("%+v", h)
	}
	words := strings.Fields(h.Entry)
	if cmd, _, err := newRoot().Find(words[1:]); err != nil || words[0] != "bulkhead" || cmd.Name() != "lint" {
		t.Errorf("entry %q: %v", h.Entry, err)
	}
}

// TestParameters: the words come from the schema, and a guardrail that it does not know yet has its names and defaults.
func TestParameters(t *testing.T) {
	defaults := map[string]json.RawMessage{"a": json.RawMessage(`{"b":1}`), "c": json.RawMessage(`null`), "new": json.RawMessage(`[1]`)}
	number, text := settingSchema{Type: "integer", Description: "B."}, settingSchema{Type: "string"}
	s := settingSchema{Properties: map[string]settingSchema{
		"a": {Type: "object", Description: "A.", Properties: map[string]settingSchema{"b": number}},
		"c": {Type: "array", Items: &settingSchema{Type: "object", Properties: map[string]settingSchema{"d": text}}},
	}}
	want := []parameter{
		{"a", "object", "", "A."}, {"a.b", "number", "1", "B."}, {"c", "list of object", "none", ""}, {"c[].d", "text", "", ""}, {"new", "object", "[1]", ""},
	}
	if diff := cmp.Diff(want, below("", s, defaults), cmp.AllowUnexported(parameter{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
