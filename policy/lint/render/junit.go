package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name     string         `xml:"name,attr"`
	Class    string         `xml:"classname,attr"`
	Failures []junitFailure `xml:"failure"`
	Output   *junitText     `xml:"system-out"`
}

type junitText struct {
	Text string `xml:",cdata"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",cdata"`
}

// JUnit writes a test suite for each file and a test case for each object that was judged. The findings that make the lint
// fail are failures, the others are the case's output.
func JUnit(w io.Writer, r *lint.Report, o Options) error {
	findings := map[*manifest.Object][]*lint.Finding{}
	for i := range r.Findings {
		f := &r.Findings[i]
		findings[f.Object] = append(findings[f.Object], f)
	}
	var out junitSuites
	for _, object := range r.Judged {
		name := filepath.ToSlash(object.Source.File)
		if name == "" {
			name = "cluster"
		}
		if n := len(out.Suites); n == 0 || out.Suites[n-1].Name != name {
			out.Suites = append(out.Suites, junitSuite{Name: name})
		}
		suite := &out.Suites[len(out.Suites)-1]
		c := junitOf(object, findings[object], o.FailOn)
		suite.Cases = append(suite.Cases, c)
		suite.Tests++
		out.Tests++
		if len(c.Failures) > 0 {
			suite.Failures++
			out.Failures++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitOf(object *manifest.Object, findings []*lint.Finding, failOn config.Action) junitCase {
	c := junitCase{Name: object.String(), Class: "bulkhead"}
	var output []string
	for _, f := range findings {
		text := fmt.Sprintf("%s: %s: %s: %s", place(f), severity(f.Action), f.Guardrail, f.Detail)
		if fix := fixText(f.Fix, "  "); fix != "" {
			text += "\n" + fix
		}
		if text = printableLines(text); failOn != config.Off && f.Action.Rank() >= failOn.Rank() {
			c.Failures = append(c.Failures, junitFailure{Message: printable(f.Detail), Type: f.Guardrail, Text: text})
		} else {
			output = append(output, text)
		}
	}
	if len(output) > 0 {
		c.Output = &junitText{strings.Join(output, "\n")}
	}
	return c
}

// printableLines is printable for text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}
