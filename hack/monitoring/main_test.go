package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
)

const root = "../.."

// parts are what every runbook has.
var parts = []string{"## Meaning", "## Impact", "## Diagnosis", "## Mitigation"}

// TestRunbooks: each alert has a page with all parts, and each page an alert.
func TestRunbooks(t *testing.T) {
	var want []string
	for _, a := range board.Alerts(board.Production()) {
		want = append(want, a.Name+".md")
		text, err := os.ReadFile(filepath.Join(root, runbooksDir, a.Name+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.HasPrefix(string(text), "# "+a.Name+"\n") {
			t.Errorf("%s.md has another title", a.Name)
		}
		for _, part := range parts {
			if _, body, found := strings.Cut(string(text), part+"\n"); !found || strings.TrimSpace(strings.Split(body, "\n## ")[0]) == "" {
				t.Errorf("%s.md lacks %q", a.Name, part)
			}
		}
	}
	pages, err := os.ReadDir(filepath.Join(root, runbooksDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if name := page.Name(); name != "README.md" && !slices.Contains(want, name) {
			t.Errorf("%s/%s belongs to no alert", runbooksDir, name)
		}
	}
}

// TestPanelsAreExplained: everything on a dashboard says what it is, and links to a runbook that there is.
func TestPanelsAreExplained(t *testing.T) {
	var alerts []string
	for _, a := range board.Alerts(board.Production()) {
		alerts = append(alerts, a.Name)
	}
	for _, d := range board.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				where := d.Title + ": " + p.Title
				if len(p.Description) < 40 || !strings.HasSuffix(p.Description, ".") {
					t.Errorf("%s is not explained: %q", where, p.Description)
				}
				if p.Runbook != "" && !slices.Contains(alerts, p.Runbook) {
					t.Errorf("%s links to %s, which is no alert", where, p.Runbook)
				}
				if p.Width < 1 || p.Width > 24 || p.Height < 3 || len(p.Queries) == 0 {
					t.Errorf("%s: %d by %d, %d queries", where, p.Width, p.Height, len(p.Queries))
				}
			}
		}
	}
}

// TestDriftIsFound writes everything below a folder of its own and then spoils a file.
func TestDriftIsFound(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if stale, err := compare(dir, files); err != nil || len(stale) != len(files) {
		t.Errorf("an empty folder lacks %v, %v", stale, err)
	}
	if err := write(dir, files); err != nil {
		t.Fatal(err)
	}
	if stale, err := compare(dir, files); err != nil || len(stale) > 0 {
		t.Errorf("after writing: %v, %v", stale, err)
	}
	if err := os.WriteFile(filepath.Join(dir, referencePath), []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	if stale, err := compare(dir, files); err != nil || !slices.Equal(stale, []string{referencePath}) {
		t.Errorf("after an edit: %v, %v", stale, err)
	}
}
