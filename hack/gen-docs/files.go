package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/policytest"
)

const (
	pagesDir    = "docs/guardrails"
	readmePath  = "README.md"
	fixturesDir = "policy/guardrails/testdata"

	tableBegin = "<!-- guardrails:begin -->"
	tableEnd   = "<!-- guardrails:end -->"
)

// generate gives the wanted content of each file by its path from root.
func generate(root string, guardrails []policy.Guardrail) (map[string][]byte, error) {
	fixtures, err := policytest.Load(filepath.Join(root, fixturesDir))
	if err != nil {
		return nil, err
	}
	comments, err := parameterComments()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{pagesDir + "/README.md": index(guardrails)}
	for i := range guardrails {
		g := &guardrails[i]
		page, err := page(g, fixtures, comments)
		if err != nil {
			return nil, fmt.Errorf("guardrail %s: %w", g.Slug, err)
		}
		files[pagesDir+"/"+g.Slug+".md"] = page
	}
	if files[readmePath], err = readme(filepath.Join(root, readmePath), table(guardrails, pagesDir+"/")); err != nil {
		return nil, err
	}
	return files, nil
}

// readme puts the table between the markers of the file at path; where there is no file it is the markers alone.
func readme(path string, table []byte) ([]byte, error) {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old = []byte(tableBegin + "\n" + tableEnd + "\n")
	} else if err != nil {
		return nil, err
	}
	head, rest, found := bytes.Cut(old, []byte(tableBegin))
	_, tail, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended || bytes.Contains(tail, []byte(tableBegin)) {
		return nil, fmt.Errorf("%s: put the lines %s and %s once, in this order, where the table of guardrails belongs", path, tableBegin, tableEnd)
	}
	return slices.Concat(head, []byte(tableBegin+"\n"), table, []byte(tableEnd), tail), nil
}

// change is one file that is not as wanted. A nil want means that it has to go.
type change struct {
	path string
	want []byte
	why  string
}

func (c change) String() string { return c.path + " " + c.why }

// compare lists what has to change below root, sorted by path.
func compare(root string, files map[string][]byte) ([]change, error) {
	var out []change
	for _, path := range slices.Sorted(maps.Keys(files)) {
		have, err := os.ReadFile(filepath.Join(root, path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out = append(out, change{path, files[path], "is missing"})
		case err != nil:
			return nil, err
		case !bytes.Equal(have, files[path]):
			out = append(out, change{path, files[path], "is not current"})
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, pagesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if path := pagesDir + "/" + e.Name(); files[path] == nil {
			out = append(out, change{path, nil, "belongs to no guardrail"})
		}
	}
	return out, nil
}

// apply makes the changes.
func apply(root string, changes []change) error {
	if err := os.MkdirAll(filepath.Join(root, pagesDir), 0o755); err != nil {
		return err
	}
	for _, c := range changes {
		path := filepath.Join(root, c.path)
		if c.want == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, c.want, 0o644); err != nil {
			return err
		}
	}
	return nil
}
