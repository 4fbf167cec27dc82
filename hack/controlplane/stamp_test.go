package controlplane

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInstallMakesFresh(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "etcd")
	wantFresh(t, binary, "d1", false) // nothing there

	installFile(t, dir, binary, "one", "d1")
	wantFresh(t, binary, "d1", true)
	wantFresh(t, binary, "d2", false) // other inputs

	installFile(t, dir, binary, "two, longer", "d2")
	wantFresh(t, binary, "d2", true)
	wantFresh(t, binary, "d1", false)
	if text := readFile(t, binary); text != "two, longer" {
		t.Errorf("the binary holds %q", text)
	}
}

func TestDamagedBinaryIsNotFresh(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "etcd")
	installFile(t, dir, binary, "complete", "d")

	writeFile(t, binary, "comp") // truncated
	wantFresh(t, binary, "d", false)

	installFile(t, dir, binary, "complete", "d")
	if err := os.Remove(stampPath(binary)); err != nil { // interrupted between renaming and stamping
		t.Fatal(err)
	}
	wantFresh(t, binary, "d", false)

	installFile(t, dir, binary, "complete", "d")
	if err := os.Remove(binary); err != nil {
		t.Fatal(err)
	}
	wantFresh(t, binary, "d", false)
}

func TestDigestCoversEveryInput(t *testing.T) {
	seen := map[string]string{}
	for name, sum := range map[string]string{
		"base":    digest([]byte("mod"), []byte("sum"), "pkg", []string{"-a", "-b"}),
		"go.mod":  digest([]byte("mod2"), []byte("sum"), "pkg", []string{"-a", "-b"}),
		"go.sum":  digest([]byte("mod"), []byte("sum2"), "pkg", []string{"-a", "-b"}),
		"package": digest([]byte("mod"), []byte("sum"), "pkg2", []string{"-a", "-b"}),
		"flags":   digest([]byte("mod"), []byte("sum"), "pkg", []string{"-a", "-c"}),
		"split":   digest([]byte("mod"), []byte("sum"), "pkg", []string{"-a-b"}),
		"source":  digest([]byte("mod"), []byte("sum"), "pkg", []string{"-a", "-b"}, []byte("package main")),
		"sources": digest([]byte("mod"), []byte("sum"), "pkg", []string{"-a", "-b"}, []byte("package main"), []byte("package main")),
		"shifted": digest([]byte("mods"), []byte("um"), "pkg", []string{"-a", "-b"}),
	} {
		if other, taken := seen[sum]; taken {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[sum] = name
	}
}

func installFile(t *testing.T, dir, binary, content, digest string) {
	t.Helper()
	built := filepath.Join(dir, "built")
	writeFile(t, built, content)
	if err := install(built, binary, digest); err != nil {
		t.Fatal(err)
	}
}

func wantFresh(t *testing.T, binary, digest string, want bool) {
	t.Helper()
	got, err := isFresh(binary, digest)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("isFresh(%s) = %t, want %t", digest, got, want)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
