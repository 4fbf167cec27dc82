package controlplane

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRequiredVersion(t *testing.T) {
	const goMod = `module example.com/m

require (
	k8s.io/kubernetes-extra v0.1.0
	k8s.io/kubernetes v1.36.3 // indirect
)

require sigs.k8s.io/kwok v0.8.0

replace k8s.io/api => k8s.io/api v0.36.3
`
	for module, want := range map[string]string{"k8s.io/kubernetes": "v1.36.3", "sigs.k8s.io/kwok": "v0.8.0"} {
		if got, err := requiredVersion(goMod, module); err != nil || got != want {
			t.Errorf("requiredVersion(%s) = %q, %v, want %q", module, got, err, want)
		}
	}
	if got, err := requiredVersion(goMod, "k8s.io/api"); err == nil {
		t.Errorf("a module that is not required has the version %q", got)
	}
}

func TestLdflags(t *testing.T) {
	kubernetes := recipe{stampVersion: true, versionOf: "k8s.io/kubernetes", module: "kubernetes"}
	got, err := kubernetes.ldflags("v1.36.3")
	if err != nil {
		t.Fatal(err)
	}
	const want = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := kubernetes.ldflags("v1"); err == nil || !strings.Contains(err.Error(), "kubernetes/go.mod") {
		t.Errorf("a short version: %v, want an error that names the file", err)
	}
	if got, err := (recipe{}).ldflags("v3"); err != nil || got != "-s -w" {
		t.Errorf("without a version: %q, %v", got, err)
	}
}

// TestNestedModulesPinEverything reads the real module files: every recipe finds its version in them.
func TestNestedModulesPinEverything(t *testing.T) {
	for _, r := range slices.Concat(recipes(), nodeRecipes()) {
		target, err := newTarget(r, ".", t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", r.component, err)
			continue
		}
		if !strings.HasPrefix(target.version, "v") {
			t.Errorf("%s has the version %q", r.component, target.version)
		}
		if goMod := readFile(t, filepath.Join(r.module, "go.mod")); !strings.Contains(goMod, r.pkg) {
			t.Errorf("%s/go.mod does not name the tool %s", r.module, r.pkg)
		}
	}
}

func TestFindRepository(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Dir(filepath.Dir(here))
	for _, start := range []string{here, want, filepath.Join(here, "kubernetes")} { // past a nested module too
		if got, err := findRepository(start); err != nil || got != want {
			t.Errorf("findRepository(%s) = %q, %v, want %q", start, got, err, want)
		}
	}
	if got, err := findRepository(t.TempDir()); err == nil {
		t.Errorf("found the repository %q outside of it", got)
	}
}
