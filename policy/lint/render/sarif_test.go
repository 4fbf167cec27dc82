package render_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif" // whose source holds the schema
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/lint/render"
)

// sarifSchema gives the JSON Schema of SARIF 2.1.0, which a Go module carries as a constant that it does not export.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok {
			text, err = strconv.Unquote(literal.Value)
		}
		return true
	})
	doc, err2 := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	const name = "sarif.json"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSARIF checks the log against the schema, which allows no field that it does not know.
func TestSARIF(t *testing.T) {
	schema := sarifSchema(t)
	for name, r := range map[string]*lint.Report{"findings": report(t), "nothing": {}} {
		var b bytes.Buffer
		if err := render.SARIF(&b, r, options()); err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkResults(t, b.Bytes(), r)
	}
	if err := schema.Validate(map[string]any{"version": "2.1.0", "runs": []any{map[string]any{"results": []any{}}}}); err == nil {
		t.Error("the schema takes a run without a tool: it checks nothing")
	}
}

// checkResults checks that the results name their rules and are those of the report.
func checkResults(t *testing.T, data []byte, r *lint.Report) {
	t.Helper()
	var log struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID              string
				RuleIndex           int
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal(data, &log); err != nil {
		t.Fatal(err)
	}
	rules, results := log.Runs[0].Tool.Driver.Rules, log.Runs[0].Results
	if len(rules) != len(guardrails.All()) || len(results) != len(r.Findings) {
		t.Fatalf("%d rules, %d results", len(rules), len(results))
	}
	for i, result := range results {
		if rules[result.RuleIndex].ID != result.RuleID || result.RuleID != r.Findings[i].Guardrail {
			t.Errorf("result %d is of %s, and its index is that of %s", i, result.RuleID, rules[result.RuleIndex].ID)
		}
		if print := result.PartialFingerprints["bulkhead/v1"]; print != r.Findings[i].Fingerprint {
			t.Errorf("result %d has the fingerprint %q", i, print)
		}
	}
}
