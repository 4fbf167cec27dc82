package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// binEnv overrides the directory that Build puts the binaries in.
	binEnv = "BULKHEAD_CONTROLPLANE_BIN"
	// assetsEnv is envtest's variable for a directory with ready-made kube-apiserver, etcd and kubectl.
	assetsEnv = "KUBEBUILDER_ASSETS"
	// temporaryPrefix marks unfinished files in that directory.
	temporaryPrefix = ".unfinished-"
)

// Binaries says where the components' programs are.
type Binaries struct {
	paths map[Component]string
	// version is the version of Kubernetes that the nested module pins.
	version string
}

// Path returns the absolute path of a component's program.
func (b Binaries) Path(c Component) string { return b.paths[c] }

// KubernetesVersion returns the pinned version of Kubernetes, such as v1.36.3.
func (b Binaries) KubernetesVersion() string { return b.version }

// target is one component with all that decides whether it has to be built.
type target struct {
	recipe
	version string
	dir     string   // of the nested module
	flags   []string // of go build
	binary  string
	digest  string
}

// Build provides the programs of the control plane in dir and returns where they are. Those that are missing or were
// built from other inputs are built from the Go modules nested in this directory, which pin etcd, Kubernetes, kwok and
// cert-manager; this takes minutes once and is shown on progress (nil shows nothing). With all in place it takes
// milliseconds.
//
// An empty dir means $BULKHEAD_CONTROLPLANE_BIN, or bin/controlplane in the repository. Programs found in the directory
// that $KUBEBUILDER_ASSETS names are used as they are. Concurrent calls, also of several processes, take turns. Build
// must run inside the repository.
func Build(ctx context.Context, dir string, progress io.Writer) (Binaries, error) {
	return buildListed(ctx, recipes(), dir, progress)
}

// BuildNode provides the programs of a real node in the same way and the same place: kubelet and kube-proxy, and from the
// modules nested in hack/node containerd with its shim and its command line, and CoreDNS. From nothing this takes a quarter
// of an hour on two cores.
func BuildNode(ctx context.Context, dir string, progress io.Writer) (Binaries, error) {
	return buildListed(ctx, nodeRecipes(), dir, progress)
}

func buildListed(ctx context.Context, list []recipe, dir string, progress io.Writer) (Binaries, error) {
	here, err := os.Getwd()
	if err != nil {
		return Binaries{}, err
	}
	repository, err := findRepository(here)
	if err != nil {
		return Binaries{}, err
	}
	if dir == "" {
		dir = os.Getenv(binEnv)
	}
	if dir == "" {
		dir = filepath.Join(repository, "bin", "controlplane")
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return Binaries{}, err
	}
	return buildRecipes(ctx, list, filepath.Join(repository, "hack", "controlplane"), dir, newBuildProgress(progress))
}

func buildRecipes(ctx context.Context, list []recipe, source, dir string, progress *buildProgress) (Binaries, error) {
	binaries := Binaries{paths: map[Component]string{}}
	var targets []target
	for _, r := range list {
		t, err := newTarget(r, source, dir)
		if err != nil {
			return Binaries{}, err
		}
		if r.versionOf == "k8s.io/kubernetes" {
			binaries.version = t.version
		}
		asset, err := findAsset(r.component)
		if err != nil {
			return Binaries{}, err
		}
		if asset != "" {
			binaries.paths[r.component] = asset
			continue
		}
		binaries.paths[r.component] = t.binary
		targets = append(targets, t)
	}

	stale, err := staleTargets(targets)
	if err != nil || len(stale) == 0 {
		return binaries, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Binaries{}, err
	}
	held, err := lock(ctx, filepath.Join(dir, ".lock"), func() {
		progress.say("waiting for another build in %s", dir)
	})
	if err != nil {
		return Binaries{}, err
	}
	err = buildStale(ctx, dir, targets, progress)
	return binaries, errors.Join(err, held.unlock())
}

// buildStale builds what is stale, with the lock held: the process that held it before may have built everything.
func buildStale(ctx context.Context, dir string, targets []target, progress *buildProgress) error {
	unfinished, err := filepath.Glob(filepath.Join(dir, temporaryPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range unfinished { // left by a build that was killed
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	stale, err := staleTargets(targets)
	if err != nil {
		return err
	}
	for i, t := range stale {
		if err := t.build(ctx, dir, progress, i+1, len(stale)); err != nil {
			return err
		}
	}
	return nil
}

func staleTargets(targets []target) ([]target, error) {
	var stale []target
	for _, t := range targets {
		fresh, err := isFresh(t.binary, t.digest)
		if err != nil {
			return nil, err
		}
		if !fresh {
			stale = append(stale, t)
		}
	}
	return stale, nil
}

// findAsset returns the path of a component's program in $KUBEBUILDER_ASSETS, "" if it is not there.
func findAsset(c Component) (string, error) {
	assets := os.Getenv(assetsEnv)
	if assets == "" {
		return "", nil
	}
	path, err := filepath.Abs(filepath.Join(assets, string(c)))
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for %s in $%s: %w", c, assetsEnv, err)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s, from $%s, is not an executable file: correct or unset the variable", path, assetsEnv)
	}
	return path, nil
}

func newTarget(r recipe, source, dir string) (target, error) {
	module := filepath.Join(source, r.module)
	goMod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return target{}, err
	}
	goSum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return target{}, err
	}
	sources, err := readSources(module)
	if err != nil {
		return target{}, err
	}
	version, err := requiredVersion(string(goMod), r.versionOf)
	if err != nil {
		return target{}, fmt.Errorf("%s: %w", module, err)
	}
	ldflags, err := r.ldflags(version)
	if err != nil {
		return target{}, err
	}
	// No version control stamps: the repository's state is no input of these programs.
	flags := []string{"-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", ldflags}
	if r.tags != "" {
		flags = append(flags, "-tags", r.tags)
	}
	return target{
		recipe: r, version: version, dir: module, flags: flags,
		binary: filepath.Join(dir, string(r.component)),
		digest: digest(goMod, goSum, r.pkg, flags, sources...),
	}, nil
}

// readSources reads the Go files of a nested module. Most have none: what they build is in their dependencies.
func readSources(module string) ([][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(module, "*.go"))
	if err != nil {
		return nil, err
	}
	var sources [][]byte
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// build runs go build for one component, the number-th of count, and installs the result.
func (t target) build(ctx context.Context, dir string, progress *buildProgress, number, count int) error {
	work, err := os.MkdirTemp(dir, temporaryPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // what stays is removed by the next build
	built := filepath.Join(work, string(t.component))

	total := 0
	if progress.terminal {
		total = t.countStale(ctx)
	}
	output := &buildOutput{}
	command := t.goCommand(ctx, "build", append(t.flags, "-v", "-o", built, t.pkg)...)
	command.Stdout, command.Stderr = output, output
	progress.start(fmt.Sprintf("building %s %s (%d of %d)", t.component, t.version, number, count), total, output.compiled)
	err = command.Run()
	progress.end()
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", t.component, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", t.component, t.dir, err, output.message())
	}
	return install(built, t.binary, t.digest)
}

// countStale returns how many packages go build would compile, 0 if that cannot be told: it only serves the display.
func (t target) countStale(ctx context.Context) int {
	arguments := append([]string{"-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, t.flags...)
	list, err := t.goCommand(ctx, "list", append(arguments, t.pkg)...).Output()
	if err != nil {
		return 0
	}
	return strings.Count(string(list), "\n")
}

// goCommand prepares a go command in the nested module. Its processes form a group, which dies as a whole with ctx.
func (t target) goCommand(ctx context.Context, verb string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", append([]string{verb}, arguments...)...)
	command.Dir = t.dir
	// Without cgo the programs are static and need no C compiler. A workspace would replace the pinned versions.
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	return command
}
