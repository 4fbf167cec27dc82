package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var root = filepath.Join("..", "..")

func ours(t *testing.T) (dockerfile, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDockerfile(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return d, string(text)
}

func TestParseDockerfile(t *testing.T) {
	d, err := parseDockerfile(`
ARG GO=example.org/go:1.2
FROM --platform=$BUILDPLATFORM ${GO} AS build
USER 1
COPY go.mod go.sum ./
COPY --chmod=1 b b
RUN one \
  # between
  COPY two three
FROM scratch
COPY --from=build /a /a
USER 7:8
`)
	if err != nil {
		t.Fatal(err)
	}
	if d.base != "example.org/go:1.2" || d.user != "7:8" || !slices.Equal(d.sources, []string{"go.mod", "go.sum"}) {
		t.Errorf("%+v", d)
	}
	if d, err := parseDockerfile("FROM a\nUSER 1\nFROM scratch\nCOPY a b\n"); err != nil || d.user != "" {
		t.Errorf("the user of another stage: %+v, %v", d, err)
	}
	for _, text := range []string{"", "FROM scratch\nCOPY a b", "FROM a"} {
		if _, err := parseDockerfile(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// TestDockerfile: a numeric user, a base image with a version, and no more sent to the builder than is copied.
func TestDockerfile(t *testing.T) {
	d, text := ours(t)
	if d.user != user {
		t.Errorf("USER %s", d.user)
	}
	if _, tag, _ := strings.Cut(d.base, ":"); tag == "" || strings.Contains(text, "latest") {
		t.Errorf("the base image %q has no version", d.base)
	}
	ignore, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	for line := range strings.Lines(string(ignore)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			sent = append(sent, path)
		}
	}
	if slices.Sort(sent); !slices.Equal(sent, slices.Sorted(slices.Values(d.sources))) {
		t.Errorf(".dockerignore lets through %v and the Dockerfile copies %v", sent, d.sources)
	}
	if !strings.Contains(string(ignore), "\n*\n") {
		t.Error(".dockerignore does not leave out all else")
	}
}

func TestCopyContext(t *testing.T) {
	d, _ := ours(t)
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := copyContext(root, dir, d); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"Dockerfile", ".dockerignore"}, d.sources...) {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	d.sources = append(d.sources, "no-such-folder")
	if err := copyContext(root, filepath.Join(t.TempDir(), "c"), d); err == nil {
		t.Error("a source that is not there is no error")
	}
}

func TestStandsFor(t *testing.T) {
	for image, wanted := range map[string]bool{
		"docker.io/library/golang:1.26": true, "golang:1.26.8": true, "docker.io/library/golang:1.26@sha256:12": true,
		"golang:1.2": false, "golang:1.26.80": false, "golang:1.27": false, "golang": false, "host:5000/golang": false,
	} {
		if got := standsFor("go1.26.8", image); got != wanted {
			t.Errorf("%s: %v", image, got)
		}
	}
}
