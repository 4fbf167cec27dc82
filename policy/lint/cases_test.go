package lint_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// exists fails for what is no guardrail: a slip in a slug would otherwise never be noticed.
func exists(t *testing.T, slug string) {
	t.Helper()
	if !slices.ContainsFunc(guardrails.All(), func(g policy.Guardrail) bool { return g.Slug == slug }) {
		t.Fatalf("%q is no guardrail", slug)
	}
}

// lintCase is one file of testdata/cases: what somebody wants to apply and what an expert would say about it. The text before
// the first file says why in a sentence. The files are
//
//	new/*.yaml   the manifests that are judged
//	old/*.yaml   the cluster that they are laid over; without any the manifests are judged by themselves
//	prune        empty; what old has and new has not is deleted
//	config       lines of a BulkheadConfig beside apiVersion and kind
//	skipped      the kinds that are read and do not matter, in the order of the alphabet; default: any
//	want         one finding a line: Deny dns-cut NetworkPolicy shop/deny: and the first words
type lintCase struct {
	name, why  string
	in         *lint.Input
	want       []string
	notSkipped string
}

func loadCase(t *testing.T, path string) *lintCase {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := &lintCase{name: strings.TrimSuffix(filepath.Base(path), ".txtar"), why: strings.TrimSpace(string(archive.Comment))}
	readers := map[string]*manifest.Reader{}
	lines, prune, skipped, hasWant := "", false, "", false
	for _, f := range archive.Files {
		folder, _, _ := strings.Cut(f.Name, "/")
		text := strings.TrimSpace(string(f.Data))
		switch folder {
		case "new", "old":
			if readers[folder] == nil {
				readers[folder] = &manifest.Reader{KeepText: true}
			}
			readers[folder].Add(f.Name, f.Data)
		case "prune":
			prune = true
		case "config":
			lines = string(f.Data)
		case "skipped":
			skipped = text
		case "want":
			hasWant = true
			if text != "" {
				out.want = strings.Split(text, "\n")
			}
		default:
			t.Fatalf("%s is no part of a case", f.Name)
		}
	}
	if out.why == "" || readers["new"] == nil || !hasWant {
		t.Fatal("a case says why, has manifests below new/ and says what is wanted")
	}
	out.in = &lint.Input{Config: settings(t, lines), Guardrails: guardrails.All(), Alone: readers["old"] == nil, Prune: prune, Groups: readers["new"].Groups()}
	for folder, to := range map[string]*[]manifest.Object{"new": &out.in.Objects, "old": &out.in.Base} {
		if r := readers[folder]; r != nil {
			if *to, err = r.Objects(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if skipped != "" {
		var kinds []string
		for kind := range readers["new"].Skipped() {
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		if got := strings.Join(kinds, " "); got != skipped {
			out.notSkipped = fmt.Sprintf("skipped %q, want %q", got, skipped)
		}
	}
	return out
}

// TestCases: each mistake that people make with NetworkPolicies is told once, and what they do right is left alone.
func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			c := loadCase(t, path)
			r := lint.Run(t.Context(), c.in)
			if c.notSkipped != "" {
				t.Error(c.notSkipped)
			}
			if len(r.Partial) > 0 {
				t.Errorf("not judged to the end: %q", r.Partial)
			}
			if diff := cmp.Diff(wanted(t, c.want, r), told(r)); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", c.why, diff)
			}
		})
	}
}

// told writes what was found, a line each.
func told(r *lint.Report) []string {
	var out []string
	for i := range r.Findings {
		f := &r.Findings[i]
		out = append(out, fmt.Sprintf("%s %s %s: %s", f.Action, f.Guardrail, f.Object, f.Detail))
	}
	slices.Sort(out)
	return out
}

// wanted gives the lines that are due, each completed to the finding that begins with it where there is one.
func wanted(t *testing.T, lines []string, r *lint.Report) []string {
	t.Helper()
	got := told(r)
	var out []string
	for _, line := range lines {
		_, rest, _ := strings.Cut(line, " ")
		slug, _, _ := strings.Cut(rest, " ")
		exists(t, slug)
		if i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, line) }); i >= 0 {
			line, got = got[i], slices.Delete(slices.Clone(got), i, i+1)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}
