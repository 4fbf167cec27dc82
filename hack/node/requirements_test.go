package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMissingPackagesAreNamed has nothing in PATH: whoever lacks a program is told the package, since nothing can install it.
func TestMissingPackagesAreNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := installPackages(t.Context())
	if err == nil {
		t.Fatal("nothing was missed where nothing is")
	}
	for _, name := range []string{"iproute2", "mount", "nftables", "runc"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

// TestInstallationIsChecked has an apt-get that succeeds and installs nothing.
func TestInstallationIsChecked(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if err := installPackages(t.Context()); err == nil || !strings.Contains(err.Error(), "still not found") {
		t.Errorf("after an installation of nothing: %v", err)
	}
}
