package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var installFile = filepath.Join("..", "deploy", "install.yaml")

// testManifest installs by kubectl alone.
func (i *installation) testManifest(t *testing.T) {
	before := i.everything(t)
	apply := func(when string) string {
		t.Helper()
		a := i.as(t, platformUser, "", "apply", "--server-side", "-f", installFile)
		if !a.ok || a.stderr != "" {
			t.Fatalf("%s: %s", when, a.text())
		}
		return a.stdout
	}
	remove := func() answer {
		return i.as(t, platformUser, "", "delete", "-f", installFile, "--ignore-not-found", "--timeout=60s")
	}
	defer remove() // where the test ends early, the next one is to find nothing
	first := apply("the first time")
	i.unlocked(t, "while no replica has ever lived")
	live := i.serve(t, "bulkhead-system", "bulkhead", 1)
	i.warned(t, "by what install.yaml installs")
	versions := i.versions(t, first)
	apply("the second time")
	if again := i.versions(t, first); again != versions {
		t.Errorf("the second time something changed:\n%s\nwas\n%s", again, versions)
	}
	if a := i.as(t, platformUser, "", "diff", "--server-side", "-f", installFile); !a.ok || a.stdout != "" {
		t.Errorf("kubectl diff: %s", a.text())
	}
	live.stop()
	i.unlocked(t, "after the last replica")
	if a := remove(); !a.ok {
		t.Errorf("delete: %s", a.text())
	}
	i.left(t, before)
	i.unlocked(t, "after the deletion")
}

// versions gives the resource version and the generation of each object that kubectl has just named.
func (i *installation) versions(t *testing.T, applied string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(applied) {
		name, _, _ := strings.Cut(line, " ")
		namespaces := []string{"bulkhead-system"}
		if strings.HasPrefix(name, "role") {
			namespaces = append(namespaces, "default")
		}
		for _, namespace := range namespaces {
			a := i.as(t, platformUser, "", "get", name, "-n", namespace, "-o", `jsonpath={.metadata.generation}`)
			if !a.ok {
				t.Fatal(a.text())
			}
			out.WriteString(name + " " + a.stdout)
			// The status of these changes by itself.
			if !strings.HasPrefix(name, "deployment") && !strings.HasPrefix(name, "poddisruptionbudget") {
				out.WriteString(" " + i.must(t, "get", name, "-n", namespace, "-o", `jsonpath={.metadata.resourceVersion}`))
			}
			out.WriteString("\n")
		}
	}
	return out.String()
}

// testKustomize installs by the overlay of the docs, which changes the namespace and the image.
func (i *installation) testKustomize(t *testing.T) {
	overlay := filepath.Join("..", "docs", "kustomize")
	before := i.everything(t)
	built := i.must(t, "kustomize", overlay)
	for line := range strings.Lines(built) {
		if strings.Contains(line, "bulkhead-system") {
			t.Errorf("the old namespace is left in %q", line)
		}
	}
	for _, o := range parse(t, built) {
		if o.GetKind() != "Deployment" {
			continue
		}
		containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		if image := containers[0].(map[string]any)["image"]; image != "registry.example.org/platform/bulkhead:1.2.3" {
			t.Errorf("the image is %v", image)
		}
	}
	remove := func() answer {
		return i.as(t, platformUser, "", "delete", "-k", overlay, "--ignore-not-found", "--timeout=60s")
	}
	defer remove()
	if a := i.as(t, platformUser, "", "apply", "--server-side", "-k", overlay); !a.ok || a.stderr != "" {
		t.Fatal(a.text())
	}
	live := i.serve(t, "guards", "bulkhead", 1)
	i.warned(t, "by what the overlay installs")
	live.stop()
	if a := remove(); !a.ok {
		t.Errorf("delete: %s", a.text())
	}
	i.left(t, before)
}
