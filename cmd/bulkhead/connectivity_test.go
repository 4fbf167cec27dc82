package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// scriptFile gives a file of one of the testscripts, so that the examples are written once.
func scriptFile(t *testing.T, script, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "script", script+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(data), "-- "+name+" --\n")
	if !ok {
		t.Fatalf("%s.txtar has no file %s", script, name)
	}
	text, _, _ := strings.Cut(after, "\n-- ")
	path := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// documentSchema compiles the schema that the documentation gives, for one of its documents.
func documentSchema(t *testing.T, document string) *jsonschema.Schema {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "connectivity.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```json\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("docs/connectivity.md has no JSON schema")
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	const id = "https://bulkhead.dev/schemas/connectivity.json"
	if err := c.AddResource(id, doc); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile(id + "#/$defs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestJSONFollowsItsSchema: the schema in docs/connectivity.md is true of what the commands write.
func TestJSONFollowsItsSchema(t *testing.T) {
	shop, tier := scriptFile(t, "explain-connection", "shop.yaml"), scriptFile(t, "explain-connection", "tier.yaml")
	was, is := scriptFile(t, "diff", "old.yaml"), scriptFile(t, "diff", "new.yaml")
	cilium := scriptFile(t, "connections", "cilium.yaml")
	tests := []struct {
		document string
		args     []string
	}{
		{"connections", []string{"connections", "-f", shop, "-f", tier}},
		{"connections", []string{"connections", "-f", shop, "--timeout", "1ns"}},
		{"connections", []string{"connections", "-f", cilium}},
		{"difference", []string{"diff", "-f", was, "-f", is}},
		{"difference", []string{"diff", "-f", shop, "-f", is}},
		{"difference", []string{"diff", "-f", shop, "-f", cilium, "--timeout", "1ns"}},
		{"explanation", []string{"explain-connection", "--from", "shop/web", "--to", "shop/api", "--port", "8080", "-f", shop, "-f", tier}},
		{"explanation", []string{"explain-connection", "--from", "0.0.0.0/0", "--to", "shop/web", "-f", shop, "-f", cilium}},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			stdout, _, err := command(t, append(tt.args, "-o", "json")...)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(stdout))
			if err != nil {
				t.Fatal(err)
			}
			if err := documentSchema(t, tt.document).Validate(doc); err != nil {
				t.Errorf("%v in\n%s", err, stdout)
			}
		})
	}
	if err := documentSchema(t, "connections").Validate(map[string]any{"connections": []any{map[string]any{"from": "shop/web"}}}); err == nil {
		t.Error("the schema takes what is no edge")
	}
}

// TestOrderOfInput: the documents of a file in any order give the same bytes, in every format.
func TestOrderOfInput(t *testing.T) {
	shop := scriptFile(t, "explain-connection", "shop.yaml")
	data, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n---\n")
	commands := [][]string{{"explain-connection", "--from", "0.0.0.0/0", "--to", "shop/web", "-o", "text"}}
	for _, format := range resultFormats() {
		commands = append(commands, []string{"connections", "-o", format})
	}
	for _, args := range commands {
		var want string
		for i := range 4 {
			if i > 0 {
				rand.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
			}
			if err := os.WriteFile(shop, []byte(strings.Join(documents, "\n---\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			stdout, _, err := command(t, append(args, "-f", shop)...)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				want = stdout
			} else if diff := cmp.Diff(want, stdout); diff != "" {
				t.Fatalf("%q: shuffled input gives other output (-first +shuffled):\n%s", args, diff)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	was, is := scriptFile(t, "diff", "old.yaml"), scriptFile(t, "diff", "new.yaml")
	wrong := scriptFile(t, "manifests", "wrong.yaml")
	closed := filepath.Join(t.TempDir(), "closed")
	config := `{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u}],
contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}`
	if err := os.WriteFile(closed, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		want int
		args []string
	}{
		{0, []string{"connections", "-f", was}},
		{0, []string{"connections", "-f", was, "--timeout", "1ns"}},
		{0, []string{"diff", "-f", was, "-f", is}},
		{1, []string{"diff", "-f", was, "-f", is, "--exit-code"}},
		{0, []string{"diff", "-f", was, "-f", was, "--exit-code"}},
		{1, []string{"diff", "-f", was, "-f", was, "--exit-code", "--timeout", "1ns"}},
		{1, []string{"connections", "--kubeconfig", closed}},
		{2, []string{"connections", "--kubeconfig", "missing"}},
		{2, []string{"connections"}},
		{2, []string{"connections", "-f", "missing"}},
		{2, []string{"connections", "-f", wrong}},
		{2, []string{"connections", "-f", was, "-o", "pdf"}},
		{2, []string{"connections", "-f", was, "--focus", "none/such"}},
		{2, []string{"connections", "-f", was, "--output-file", "no/such/folder"}},
		{2, []string{"explain-connection", "--from", "shop/web", "--to", "none", "-f", was}},
		{2, []string{"diff", "-f", was}},
	}
	for _, tt := range tests {
		_, _, err := command(t, tt.args...)
		got := 0
		if err != nil {
			got = exitCode(err)
		}
		if got != tt.want {
			t.Errorf("%q: exit code %d, want %d (%v)", tt.args, got, tt.want, err)
		}
	}
}

// TestExplainJoinsWhatIsAlike: the parts of all addresses are few, whatever the policies name.
func TestExplainJoinsWhatIsAlike(t *testing.T) {
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n" +
		"metadata: {name: web, namespace: shop}\nspec:\n  podSelector: {}\n  ingress:\n  - from:\n"
	for i := range 100 {
		text += fmt.Sprintf("    - ipBlock: {cidr: 10.0.%d.0/24}\n", i)
	}
	path := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := command(t, "explain-connection", "--from", "10.0.0.0/8", "--to", "shop/web", "-f", path, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Parts []struct{ From endpointJSON } }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Parts); n != 2 || got.Parts[0].From.CIDR != "10.0.0.0-10.0.99.255" {
		t.Errorf("%d parts in\n%s\nwant 2, the first 10.0.0.0-10.0.99.255", n, stdout)
	}
}
