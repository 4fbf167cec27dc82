package render_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/lint/render"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// nasty is a file name and a comment that would harm a terminal, a workflow command or an XML file.
const nasty = "a b/%,:<é>.yaml"

const manifests = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wall}\nspec:\n\tpolicyTypes: x\n  podSelector: {} # \x1b[31m]]>\n"

// report has an error with a place and a fix, a warning on lines that are many, and one of a live cluster.
func report(t *testing.T) *lint.Report {
	t.Helper()
	r := &manifest.Reader{KeepText: true}
	r.Add(nasty, []byte(strings.Replace(strings.Replace(manifests, "\tpolicyTypes: x\n", "  ingress:\n  - from:\n    - podSelector: {}\n    ports:\n    - port: 80\n    - port: 81\n", 1), "\x1b", "", 1)))
	objects, err := r.Objects()
	if err != nil {
		t.Fatal(err)
	}
	o := &objects[0]
	finding := func(action config.Action, guardrail, field, detail string) lint.Finding {
		f := lint.Finding{Finding: policy.Finding{Guardrail: guardrail, Action: action, Violation: policy.Violation{Field: field, Detail: detail}},
			Operation: policy.Create, Object: o, Fingerprint: "f-" + guardrail}
		f.Region, _ = o.Region(field)
		f.Excerpt = o.Lines(f.Region.Line, min(f.Region.EndLine, f.Region.Line+4))
		return f
	}
	denied := finding(config.Deny, "dns-cut", "spec.podSelector", "100% of 3 pods, a: b\nlose DNS")
	denied.Excerpt[0] = strings.Replace(denied.Excerpt[0], "[31m", "\x1b[31m", 1)
	denied.Affected = []policy.Affected{{Name: "a", Pods: 3}, {Name: "deployment/b"}, {Name: "c", Pods: 1}, {Name: "d"}, {Name: "e"}, {Name: "f"}}
	denied.Fix = &policy.Fix{Say: "write:", YAML: "a: 1\nb: 2\n"}
	warned := finding(config.Warn, "dns-tcp", "spec.ingress", "too much")
	gone := lint.Finding{Finding: policy.Finding{Guardrail: "isolation-lost", Action: config.Warn, Violation: policy.Violation{Detail: "deleted"}},
		Operation: policy.Delete, Object: &manifest.Object{Kind: "NetworkPolicy", Namespace: "shop", Name: "live"}, Fingerprint: "f-gone"}
	again := finding(config.Deny, "dns-dead-peer", "spec.podSelector", "the same remedy")
	again.Fix = denied.Fix
	return &lint.Report{
		Findings: []lint.Finding{gone, warned, denied, again}, Judged: []*manifest.Object{gone.Object, o}, Accepted: 1,
		Partial: []string{"left out: 1% of it"},
	}
}

func options() render.Options {
	return render.Options{Guardrails: guardrails.All(), DocsURL: "https://docs.example.com/", Version: "v1.2.3", FailOn: config.Deny}
}

func TestText(t *testing.T) {
	const want = `NetworkPolicy shop/live: warning: isolation-lost: deleted
  in NetworkPolicy shop/live; why: bulkhead explain isolation-lost

a b/%,:<é>.yaml:5:3: warning: dns-tcp: too much
  5 |   ingress:
    |   ^^^^^^^^
  6 |   - from:
  7 |     - podSelector: {}
  8 |     ports:
  9 |     - port: 80
    | ...
  in NetworkPolicy default/wall; why: bulkhead explain dns-tcp

a b/%,:<é>.yaml:11:3: error: dns-cut: 100% of 3 pods, a: b·lose DNS
  11 |   podSelector: {} # ·[31m]]>
     |   ^^^^^^^^^^^^^^^
  affects a (3 pods), deployment/b, c (1 pod), d, e, +1 more
  write:
    a: 1
    b: 2
  in NetworkPolicy default/wall; why: bulkhead explain dns-cut

a b/%,:<é>.yaml:11:3: error: dns-dead-peer: the same remedy
  11 |   podSelector: {} # [31m]]>
     |   ^^^^^^^^^^^^^^^
  in NetworkPolicy default/wall; why: bulkhead explain dns-dead-peer

2 errors, 2 warnings; 2 objects judged (1 accepted by the baseline)
incomplete: left out: 1% of it
`
	var b bytes.Buffer
	if err := render.Text(&b, report(t), options()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTextColours: colours surround pieces of the same text.
func TestTextColours(t *testing.T) {
	var plain, painted bytes.Buffer
	o := options()
	if err := render.Text(&plain, report(t), o); err != nil {
		t.Fatal(err)
	}
	styles := map[render.Style]bool{}
	o.Paint = func(text string, s render.Style) string {
		styles[s] = true
		return "\x1b" + text + "\x1b"
	}
	if err := render.Text(&painted, report(t), o); err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(painted.String(), "\x1b", ""); got != plain.String() {
		t.Errorf("(-plain +painted):\n%s", cmp.Diff(plain.String(), got))
	}
	if len(styles) != 5 {
		t.Errorf("%d styles are used, want all 5", len(styles))
	}
}

func TestGitHub(t *testing.T) {
	const want = `::warning title=isolation-lost in NetworkPolicy shop/live::deleted
::warning file=a b/%25%2C%3A<é>.yaml,line=5,endLine=10,title=dns-tcp in NetworkPolicy default/wall::too much
::error file=a b/%25%2C%3A<é>.yaml,line=11,col=3,endColumn=18,title=dns-cut in NetworkPolicy default/wall::100%25 of 3 pods, a: b%0Alose DNS%0Awrite:%0A  a: 1%0A  b: 2
::error file=a b/%25%2C%3A<é>.yaml,line=11,col=3,endColumn=18,title=dns-dead-peer in NetworkPolicy default/wall::the same remedy%0Awrite:%0A  a: 1%0A  b: 2
::warning title=incomplete::left out: 1%25 of it
`
	var b bytes.Buffer
	if err := render.GitHub(&b, report(t), options()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJUnit(t *testing.T) {
	for failOn, failures := range map[config.Action][2]int{config.Deny: {1, 2}, config.Warn: {2, 4}, config.Off: {0, 0}} {
		o := options()
		o.FailOn = failOn
		var b bytes.Buffer
		if err := render.JUnit(&b, report(t), o); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Failures int `xml:"failures,attr"`
			Suites   []struct {
				Name  string `xml:"name,attr"`
				Cases []struct {
					Failures []string `xml:"failure"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		n := 0
		for _, s := range got.Suites {
			for _, c := range s.Cases {
				n += len(c.Failures)
			}
		}
		if len(got.Suites) != 2 || got.Suites[0].Name != "cluster" || got.Suites[1].Name != nasty || got.Failures != failures[0] || n != failures[1] {
			t.Errorf("%s: %+v, want failures %v", failOn, got, failures)
		}
	}
}

func TestSARIFPlaces(t *testing.T) {
	r := report(t)
	absolute := *r.Findings[2].Object
	absolute.Source.File = filepath.ToSlash("/srv/a b.yaml")
	r.Findings[3].Object = &absolute
	var b bytes.Buffer
	if err := render.SARIF(&b, r, options()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"uri": "a%20b/%25,:%3C%C3%A9%3E.yaml"`, `"uri": "file:///srv/a%20b.yaml"`,
		"\"region\": {\n                  \"startLine\": 11,\n                  \"startColumn\": 3,\n                  \"endLine\": 11,\n                  \"endColumn\": 18\n",
		`"fullyQualifiedName": "NetworkPolicy shop/live"`, `"executionSuccessful": false`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestWriteErrors: a full disk is no success.
func TestWriteErrors(t *testing.T) {
	for name, format := range map[string]func(io.Writer, *lint.Report, render.Options) error{
		"text": render.Text, "json": render.JSON, "sarif": render.SARIF, "github": render.GitHub, "junit": render.JUnit,
	} {
		if err := format(full{}, report(t), options()); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
