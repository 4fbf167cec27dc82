package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a file can make an error say, for the file's text may come
// from anyone who can edit a ConfigMap and the error goes to logs.
const (
	maxProblems      = 1000 // kept
	maxProblemsShown = 100  // in the text of an Error
	maxQuotedRunes   = 64
	maxMessageRunes  = 400
)

// Problem is one thing wrong with a configuration file. Its texts are
// printable: what the file wrote is quoted, with control characters escaped.
type Problem struct {
	// Line is the line in the file, counted from 1; 0 means the whole file.
	Line int
	// Field is the path of the field, such as guardrails.dns-cut.action; empty
	// means the whole file.
	Field string
	// Message says what is wrong and quotes the value.
	Message string
	// Remedy says what to write instead; empty where Message says it.
	Remedy string
}

// String returns the problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Error is every problem of a configuration file.
type Error struct {
	// Problems holds at least one, ordered by line and field.
	Problems []Problem
	// Omitted counts the problems past the first thousand, which are not kept.
	Omitted int
}

// Error returns one line for a single problem and a list for more.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "invalid configuration: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "invalid configuration: %d problems:", len(e.Problems)+e.Omitted)
	for i, p := range e.Problems {
		if i == maxProblemsShown {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Problems)+e.Omitted-i)
			break
		}
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// newError orders problems and makes them an error.
func newError(problems []Problem, omitted int) *Error {
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field),
			cmp.Compare(a.Message, b.Message), cmp.Compare(a.Remedy, b.Remedy))
	})
	return &Error{Problems: slices.Compact(problems), Omitted: omitted}
}

// wholeFile is the error of a file that has one problem and no field.
func wholeFile(line int, message, remedy string) *Error {
	return &Error{Problems: []Problem{{Line: line, Message: printable(message), Remedy: remedy}}}
}

// quote returns s in quotes with what is not printable escaped, bidirectional
// controls included, and cut to a length that fits a line.
func quote(s string) string {
	if utf8.RuneCountInString(s) > maxQuotedRunes {
		return strconv.Quote(string([]rune(s)[:maxQuotedRunes])) + "..."
	}
	return strconv.Quote(s)
}

// printable escapes what is not printable in texts that were put together by
// others, and cuts them.
func printable(s string) string {
	var b strings.Builder
	for i, r := range []rune(s) {
		switch {
		case i == maxMessageRunes:
			return b.String() + "..."
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
