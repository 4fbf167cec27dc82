package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
)

// maxColumns bounds the characters of a quoted line.
const maxColumns = 160

// Text writes the report as a compiler does: the place, what is wrong, the lines, and what to do.
func Text(w io.Writer, r *lint.Report, o Options) error {
	out := bufio.NewWriter(w) // which keeps the first error for Flush
	t := &text{Writer: out, Options: o, shown: map[string]bool{}}
	for i := range r.Findings {
		t.finding(&r.Findings[i])
	}
	fmt.Fprintln(out, summary(r))
	for _, sentence := range r.Partial {
		fmt.Fprintln(out, "incomplete:", sentence)
	}
	return out.Flush()
}

type text struct {
	*bufio.Writer
	Options
	shown map[string]bool // fixes
}

func (t *text) paint(s string, style Style) string {
	if t.Paint == nil {
		return s
	}
	return t.Paint(s, style)
}

func (t *text) finding(f *lint.Finding) {
	style := Warning
	if f.Action == config.Deny {
		style = Error
	}
	fmt.Fprintf(t, "%s: %s: %s: %s\n", t.paint(printable(place(f)), Place), t.paint(severity(f.Action), style), f.Guardrail, printable(f.Detail))
	t.excerpt(f, style)
	if len(f.Affected) > 0 {
		fmt.Fprintf(t, "  affects %s\n", printable(affected(f.Affected)))
	}
	// Two guardrails can have one remedy.
	if fix := fixText(f.Fix, "    "); fix != "" && !t.shown[f.Object.String()+fix] {
		t.shown[f.Object.String()+fix] = true
		say, yaml, _ := strings.Cut(fix, "\n")
		fmt.Fprintf(t, "  %s\n", t.paint(say, Remedy))
		if yaml != "" {
			fmt.Fprintln(t, yaml)
		}
	}
	fmt.Fprintf(t, "  in %s; why: bulkhead explain %s\n\n", f.Object, f.Guardrail)
}

// place writes file:line:column, as far as they are known.
func place(f *lint.Finding) string {
	switch {
	case f.Object.Source.File == "":
		return f.Object.String()
	case f.Region.Line == 0:
		return fmt.Sprintf("%s:%d", f.Object.Source.File, f.Object.Source.Line)
	}
	return fmt.Sprintf("%s:%d:%d", f.Object.Source.File, f.Region.Line, f.Region.Column)
}

// excerpt quotes the lines of the finding and underlines what it is about in the first of them.
func (t *text) excerpt(f *lint.Finding, style Style) {
	if len(f.Excerpt) == 0 {
		return
	}
	width := len(fmt.Sprint(f.Region.Line + len(f.Excerpt) - 1))
	for i, line := range f.Excerpt {
		fmt.Fprintf(t, "%s %s\n", t.paint(fmt.Sprintf("%*d |", width+2, f.Region.Line+i), Gutter), cutLine(line))
		if i > 0 {
			continue
		}
		if before, marks := underline(line, f); marks != "" {
			fmt.Fprintf(t, "%s %s%s\n", t.paint(strings.Repeat(" ", width+2)+" |", Gutter), before, t.paint(marks, style))
		}
	}
	if more := f.Region.EndLine - f.Region.Line + 1 - len(f.Excerpt); more > 0 {
		fmt.Fprintf(t, "%s\n", t.paint(strings.Repeat(" ", width+2)+" | ...", Gutter))
	}
}

// underline gives the marks below the part of a line that the finding is about, and the white space before them.
func underline(line string, f *lint.Finding) (before, marks string) {
	chars := []rune(line)
	from, to := f.Region.Column-1, f.Region.EndColumn-1
	if f.Region.EndLine > f.Region.Line {
		to = len([]rune(strings.TrimRight(line, " \t")))
	}
	to = min(to, len(chars), maxColumns)
	if from < 0 || from >= to {
		return "", ""
	}
	for _, r := range chars[:from] {
		if r != '\t' {
			r = ' '
		}
		before += string(r)
	}
	return before, strings.Repeat("^", to-from)
}

func cutLine(line string) string {
	if chars := []rune(line); len(chars) > maxColumns {
		line = string(chars[:maxColumns]) + "..."
	}
	return printable(line)
}
