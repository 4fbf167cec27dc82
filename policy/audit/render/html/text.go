package html

import (
	"strings"
	"unicode"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
)

// Printable replaces what could turn a line's direction or hide in it.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// printableLines is Printable for text of several lines.
func printableLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// maxAffected bounds how many workloads a finding names.
const maxAffected = 6

// affected names the workloads that a finding is about: "api (3 pods), db (1 pod)".
func affected(f *audit.Finding) string {
	var names []string
	for i, a := range f.Affected {
		if i == maxAffected {
			names = append(names, policy.Plural(len(f.Affected)-maxAffected, "more workload"))
			break
		}
		name := Printable(a.Name)
		if a.Pods > 0 {
			name += " (" + policy.Plural(a.Pods, "pod") + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
