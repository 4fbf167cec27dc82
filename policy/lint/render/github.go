package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/lint"
)

// GitHub writes the findings as workflow commands, which GitHub Actions shows beside the lines of a pull request.
// Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
func GitHub(w io.Writer, r *lint.Report, _ Options) error {
	out := bufio.NewWriter(w)
	for i := range r.Findings {
		f := &r.Findings[i]
		var properties []string
		set := func(name, value string) { properties = append(properties, name+"="+githubProperty().Replace(value)) }
		if file := fileOf(f); file != "" {
			set("file", file)
			set("line", fmt.Sprint(max(f.Region.Line, f.Object.Source.Line)))
		}
		switch { // columns are for a place on one line
		case f.Region.EndLine > f.Region.Line:
			set("endLine", fmt.Sprint(f.Region.EndLine))
		case f.Region.Line > 0:
			set("col", fmt.Sprint(f.Region.Column))
			set("endColumn", fmt.Sprint(f.Region.EndColumn))
		}
		set("title", f.Guardrail+" in "+f.Object.String())
		message := f.Detail
		if fix := fixText(f.Fix, "  "); fix != "" {
			message += "\n" + fix
		}
		fmt.Fprintf(out, "::%s %s::%s\n", severity(f.Action), strings.Join(properties, ","), githubData().Replace(message))
	}
	for _, sentence := range r.Partial {
		fmt.Fprintf(out, "::warning title=incomplete::%s\n", githubData().Replace(sentence))
	}
	return out.Flush()
}

// githubData escapes a command's message, githubProperty the value of a property.
// Source: github.com/actions/toolkit, packages/core/src/command.ts.
func githubData() *strings.Replacer { return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A") }

func githubProperty() *strings.Replacer {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
}
