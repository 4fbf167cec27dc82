package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWriteArchive: the archive's bytes depend on names and contents alone, not on when and in what order files were made.
func TestWriteArchive(t *testing.T) {
	pack := func(names []string, written time.Time) []byte {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "layout")
		for _, name := range names {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("content of "+name), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, written, written); err != nil {
				t.Fatal(err)
			}
		}
		archive := filepath.Join(t.TempDir(), "a.tar")
		if err := writeArchive(archive, dir, made.epoch); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := pack([]string{"index.json", "blobs/sha256/b", "blobs/sha256/a"}, time.Unix(1, 0))
	second := pack([]string{"blobs/sha256/a", "blobs/sha256/b", "index.json"}, time.Unix(2000000000, 0))
	if !bytes.Equal(first, second) {
		t.Error("the same files give other bytes")
	}
	if bytes.Equal(first, pack([]string{"blobs/sha256/a", "blobs/sha256/c", "index.json"}, time.Unix(1, 0))) {
		t.Error("other files give the same bytes")
	}
}

func TestReadLayout(t *testing.T) {
	write := func(dir, name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	write(dir, "index.json", `{"manifests":[{},{}]}`)
	if _, err := readLayout(dir); err == nil || !strings.Contains(err.Error(), "2 images") {
		t.Errorf("two images: %v", err)
	}
	write(dir, "index.json", `{"manifests":[{"digest":"sha256:m"}]}`)
	write(dir, "blobs/sha256/m", `{"config":{"digest":"sha256:c"},"layers":[{"digest":"sha256:l"},{"digest":"sha256:k"}]}`)
	if _, err := readLayout(dir); err == nil || !strings.Contains(err.Error(), "2 layers") {
		t.Errorf("two layers: %v", err)
	}
	write(dir, "blobs/sha256/m", `{"config":{"digest":"sha256:c"},"layers":[{"digest":"sha256:l"}]}`)
	write(dir, "blobs/sha256/c", `{}`)
	write(dir, "blobs/sha256/l", ``)
	if _, err := readLayout(dir); err == nil || !strings.Contains(err.Error(), "has digest") {
		t.Errorf("blobs that are not what they are named: %v", err)
	}
}

func TestReadRelease(t *testing.T) {
	r, err := readRelease(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if r.repository != "ghcr.io/bulkhead-dev/bulkhead" || strings.Count(r.version, ".") != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil && (len(strings.TrimSuffix(r.commit, "-dirty")) < 40 || r.epoch == 0) {
		t.Errorf("the commit is %q of %d", r.commit, r.epoch)
	}
	if _, err := readRelease(t.Context(), t.TempDir()); err == nil {
		t.Error("a repository without a chart is no error")
	}
}
