package main

import (
	"bytes"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// moduleRoot is where go.mod is, from this package's folder.
const moduleRoot = "../.."

// copyModule copies what the guardrails need to be built and tested.
func copyModule(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		copyFile(t, filepath.Join(moduleRoot, name), filepath.Join(to, name))
	}
	policyDir := filepath.Join(moduleRoot, "policy")
	err := filepath.WalkDir(policyDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(moduleRoot, path)
		if err != nil {
			return err
		}
		inGuardrails := strings.HasPrefix(filepath.ToSlash(rel), guardrailsDir+"/")
		switch {
		case d.IsDir() && d.Name() == "testdata" && !inGuardrails:
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case strings.HasSuffix(rel, "_test.go") && d.Name() != "all_test.go":
			return nil
		}
		copyFile(t, path, filepath.Join(to, rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "GOPROXY=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestScaffoldWorks proves that what the scaffold makes is vetted, formatted and passes its own fixtures, at the start,
// in the middle and at the end of the list.
func TestScaffoldWorks(t *testing.T) {
	root := copyModule(t)
	slugs := []string{"a-first-one", "middle2-of-list", "zz"}
	for _, slug := range slugs {
		files, err := scaffold(root, slug)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 4 {
			t.Fatalf("%s: wrote %v, want the guardrail, two fixtures and the list", slug, files)
		}
		for _, path := range []string{files[0], files[3]} {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if formatted, err := format.Source(source); err != nil || !bytes.Equal(source, formatted) {
				t.Errorf("%s is not gofmt's: %v", path, err)
			}
		}
	}
	goTool(t, root, "vet", "./"+guardrailsDir)
	out := goTool(t, root, "test", "-v", "-run", "^TestFixtures$/^("+strings.Join(slugs, "|")+")$", "./"+guardrailsDir)
	for _, slug := range slugs {
		for _, fixture := range []string{"allow-isolated-before", "warn-newly-isolated"} {
			if want := "--- PASS: TestFixtures/" + slug + "/" + fixture; !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	}
	list, err := os.ReadFile(filepath.Join(root, guardrailsDir, "all.go"))
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, name := range []string{"aFirstOne", "dnsCut", "middle2OfList", "rulesIgnored", "zz"} {
		i := bytes.Index(list, []byte("\t\t"+name+",\n"))
		if i <= last {
			t.Errorf("%s is not in its place:\n%s", name, list)
		}
		last = i
	}
}

func TestScaffoldRefuses(t *testing.T) {
	root := copyModule(t)
	before := dirNames(t, root)
	for slug, want := range map[string]string{
		"":                      "lower-case letters",
		"Dns-Cut":               "lower-case letters",
		"dns_cut":               "lower-case letters",
		"dns--cut":              "lower-case letters",
		"-dns":                  "lower-case letters",
		"9-lives":               "lower-case letters",
		"../escape":             "lower-case letters",
		strings.Repeat("a", 41): "40 characters at most",
		"type":                  "a word of the Go language",
		"string":                "a word of the Go language",
		"dns-test":              "use another last word",
		"dns-windows":           "use another last word",
		"dns-linux-arm64":       "use another last word",
		"dns-cut":               `guardrail "dns-cut" is there already, in `,
		"reads":                 "its Go name reads is taken in ",
		"all":                   "all.go exists already",
	} {
		if _, err := scaffold(root, slug); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("slug %q: got %v, want an error with %q", slug, err, want)
		}
	}
	if after := dirNames(t, root); after != before {
		t.Errorf("a refused slug left something behind:\n%s\nbefore:\n%s", after, before)
	}
	if _, err := scaffold(t.TempDir(), "dns-new"); err == nil || !strings.Contains(err.Error(), "run from the module's root") {
		t.Errorf("outside the module: %v", err)
	}
}

func dirNames(t *testing.T, root string) string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.go", "testdata/*"} {
		found, err := filepath.Glob(filepath.Join(root, guardrailsDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return strings.Join(names, "\n")
}

func TestRunExplains(t *testing.T) {
	var out bytes.Buffer
	if err := run(nil, &out); err == nil || !strings.Contains(out.String(), "usage:") {
		t.Errorf("without a slug: %v\n%s", err, out.String())
	}
	if err := run([]string{"--help"}, &out); err != nil {
		t.Errorf("--help: %v", err)
	}
}
