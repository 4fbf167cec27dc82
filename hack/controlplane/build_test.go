package controlplane

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// fakeGo stands for the go command: it notes its arguments, prints what `go build -v` would, and writes the program.
const fakeGo = `#!/bin/sh
echo "$CGO_ENABLED $GOWORK $@" >> "$FAKE_GO_CALLS"
if [ -n "$FAKE_GO_FAILS" ]; then
	echo "some/package"
	echo "./x.go:1:2: undefined: y" >&2
	exit 1
fi
while [ "$1" != -o ]; do shift; done
echo "program of $3" > "$2"
`

// fakeBuild prepares a build with fakeGo and returns the source directory, the binaries' and the file of calls.
func fakeBuild(t *testing.T) (source, bin, calls string) {
	t.Helper()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "path", "go"), fakeGo)
	if err := os.Chmod(filepath.Join(root, "path", "go"), 0o700); err != nil {
		t.Fatal(err)
	}
	calls = filepath.Join(root, "calls")
	t.Setenv("PATH", filepath.Join(root, "path")+":"+os.Getenv("PATH"))
	t.Setenv("FAKE_GO_CALLS", calls)
	t.Setenv(assetsEnv, "")
	source = filepath.Join(root, "source")
	for module, requires := range map[string]string{
		"etcd": "go.etcd.io/etcd/server/v3 v3.6.16", "kubernetes": "k8s.io/kubernetes v1.36.3", "kwok": "sigs.k8s.io/kwok v0.8.0",
		"certmanager": "github.com/cert-manager/cert-manager v1.21.2",
	} {
		writeFile(t, filepath.Join(source, module, "go.mod"), "module m\n\nrequire "+requires+"\n")
		writeFile(t, filepath.Join(source, module, "go.sum"), "")
	}
	return source, filepath.Join(root, "bin"), calls
}

func countCalls(t *testing.T, calls string) int {
	t.Helper()
	text, err := os.ReadFile(calls)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func TestBuildOnlyWhatIsStale(t *testing.T) {
	source, bin, calls := fakeBuild(t)
	var shown bytes.Buffer
	binaries, err := build(t.Context(), source, bin, newBuildProgress(&shown))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recipes() {
		if got := readFile(t, binaries.Path(r.component)); got != "program of "+r.pkg+"\n" {
			t.Errorf("%s is %q", r.component, got)
		}
	}
	if binaries.KubernetesVersion() != "v1.36.3" {
		t.Errorf("the version is %q", binaries.KubernetesVersion())
	}
	if !regexp.MustCompile(`(?m)^building kube-apiserver v1\.36\.3 \(2 of 7\) \.\.\. \d+ s$`).Match(shown.Bytes()) {
		t.Errorf("progress shows\n%s", shown.String())
	}
	if first, _, _ := strings.Cut(readFile(t, calls), "\n"); !strings.HasPrefix(first, "0 off build -trimpath ") {
		t.Errorf("the first call was %q", first)
	}
	wantCalls := func(want int) {
		t.Helper()
		if got := countCalls(t, calls); got != want {
			t.Errorf("%d go commands ran, want %d", got, want)
		}
	}
	wantCalls(7)

	shown.Reset()
	rebuild := func() {
		t.Helper()
		if _, err := build(t.Context(), source, bin, newBuildProgress(&shown)); err != nil {
			t.Fatal(err)
		}
	}
	rebuild()
	wantCalls(7)
	if shown.Len() > 0 {
		t.Errorf("with nothing to build, progress shows %q", shown.String())
	}

	writeFile(t, filepath.Join(source, "kwok", "go.sum"), "changed")
	rebuild()
	wantCalls(8)

	writeFile(t, filepath.Join(source, "certmanager", "main.go"), "package main")
	rebuild()
	wantCalls(9)
}

func TestConcurrentBuildsBuildOnce(t *testing.T) {
	source, bin, calls := fakeBuild(t)
	var builds sync.WaitGroup
	errs := make(chan error, 4)
	for range cap(errs) {
		builds.Go(func() {
			_, err := build(t.Context(), source, bin, newBuildProgress(nil))
			errs <- err
		})
	}
	builds.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if got := countCalls(t, calls); got != 7 {
		t.Errorf("%d go commands ran, want 7", got)
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	source, bin, _ := fakeBuild(t)
	t.Setenv("FAKE_GO_FAILS", "1")
	_, err := build(t.Context(), source, bin, newBuildProgress(nil))
	if err == nil || !strings.Contains(err.Error(), "build etcd in ") || !strings.Contains(err.Error(), "undefined: y") {
		t.Errorf("the error is %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "some/package") {
		t.Errorf("the error repeats the progress: %v", err)
	}
	wantEntries(t, bin, ".lock")
}

func TestInterruptedBuild(t *testing.T) {
	source, bin, _ := fakeBuild(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := build(ctx, source, bin, newBuildProgress(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	wantEntries(t, bin, ".lock")

	writeFile(t, filepath.Join(bin, temporaryPrefix+"killed", "etcd"), "half")
	if _, err := build(t.Context(), source, bin, newBuildProgress(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, temporaryPrefix+"killed")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed build left is still there: %v", err)
	}
}

func TestAssetsComeFirst(t *testing.T) {
	source, bin, calls := fakeBuild(t)
	assets := t.TempDir()
	t.Setenv(assetsEnv, assets)
	asset := filepath.Join(assets, "kube-apiserver")
	writeFile(t, asset, "ready-made")

	_, err := build(t.Context(), source, bin, newBuildProgress(nil))
	if err == nil || !strings.Contains(err.Error(), assetsEnv) {
		t.Errorf("an asset that is not executable: %v, want an error that names the variable", err)
	}
	if err := os.Chmod(asset, 0o700); err != nil {
		t.Fatal(err)
	}
	binaries, err := build(t.Context(), source, bin, newBuildProgress(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := binaries.Path(APIServer); got != asset {
		t.Errorf("kube-apiserver is %s, want %s", got, asset)
	}
	if got, want := binaries.Path(Etcd), filepath.Join(bin, "etcd"); got != want {
		t.Errorf("etcd is %s, want %s", got, want)
	}
	if got := countCalls(t, calls); got != 6 {
		t.Errorf("%d go commands ran, want 6", got)
	}
}

func TestBuildOutputSplitsLines(t *testing.T) {
	output := &buildOutput{}
	for _, part := range []string{"a/b\nc", "/d\ngo: downloading x v1\n# c/d\n", "./y.go:1:1: wrong\n", "unfinished"} {
		if n, err := output.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got := output.compiled(); got != 2 {
		t.Errorf("%d packages, want 2", got)
	}
	if got, want := output.message(), "# c/d\n./y.go:1:1: wrong"; got != want {
		t.Errorf("the message is %q, want %q", got, want)
	}
}

func wantEntries(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// build builds the control plane's programs from fakeBuild's sources.
func build(ctx context.Context, source, dir string, progress *buildProgress) (Binaries, error) {
	return buildRecipes(ctx, recipes(), source, dir, progress)
}
