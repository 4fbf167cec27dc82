package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxProblemsShown bounds the text of an Error; a folder of the wrong files can have thousands.
const maxProblemsShown = 20

// maxMessageRunes bounds what a manifest's own text can add to a message.
const maxMessageRunes = 400

// Source is where an object was read.
type Source struct {
	// File is the name given to Reader.Add; empty for an object of a live cluster.
	File string
	// Document counts the documents of the file that hold something, from 1.
	Document int
	// Line of the object within the file, from 1.
	Line int
}

// String writes the source as problems name it: "web.yaml:12 (document 2)".
func (s Source) String() string {
	if s.File == "" {
		return "cluster"
	}
	return fmt.Sprintf("%s:%d (document %d)", s.File, s.Line, s.Document)
}

// Problem is one thing wrong with the manifests.
type Problem struct {
	// Source is the place, its Line that of the field where that is known.
	Source Source
	// Message says what is wrong and what to write instead.
	Message string
}

// String writes the problem on one line.
func (p Problem) String() string { return p.Source.String() + ": " + p.Message }

// Error is every problem of the manifests, in the order of the files given and of the lines within them.
type Error struct {
	// Problems holds at least one.
	Problems []Problem
}

// Error gives one line for a single problem and a list for more, cut after twenty.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems:", len(e.Problems))
	for i, p := range e.Problems {
		if i == maxProblemsShown {
			fmt.Fprintf(&b, "\n  +%d more", len(e.Problems)-i)
			break
		}
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// newError sorts the problems by file, in the order in which the files were given, and place.
func newError(problems []Problem, files []string) *Error {
	rank := make(map[string]int, len(files))
	for i, f := range files {
		rank[f] = i
	}
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.Source.File], rank[b.Source.File]),
			cmp.Compare(a.Source.Document, b.Source.Document), cmp.Compare(a.Source.Line, b.Source.Line))
	})
	return &Error{Problems: sorted}
}

// printable escapes what would not print, because messages quote what others wrote, and cuts what is long.
func printable(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxMessageRunes {
			return b.String() + "..."
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
