// Command image builds the container image for each architecture without a container engine, and checks what it built:
// twice the same bytes, one static file, no user but 65532, a process that serves a real API server with no right to
// anything else. It leaves archives and lists of components in bin/image.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == insideCommand {
		fmt.Fprintln(os.Stderr, "image:", inside(os.Args[2:])) // returns only where it fails
		os.Exit(1)
	}
	cold := flag.Bool("cold", false, "build the second time with an empty build cache, as a stranger would; minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, *cold); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// architectures are those that an image is built for.
var architectures = [...]string{"amd64", "arm64"}

func run(ctx context.Context, cold bool) (err error) {
	begun := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%4.0f s  "+format+"\n", append([]any{time.Since(begun).Seconds()}, args...)...)
	}
	root, err := repository()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bulkhead-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, discard(work)) }()
	m := &maker{root: root, work: work, output: filepath.Join(root, "bin", "image"), say: say}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	for _, arch := range architectures {
		if err := m.make(ctx, arch, cold); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}
	say("done; the archives are in %s", m.output)
	return nil
}

// maker makes the image of each architecture.
type maker struct {
	root, work, output string
	release            release
	builder            *builder
	say                func(format string, args ...any)
}

func (m *maker) prepare(ctx context.Context) error {
	var err error
	if m.release, err = readRelease(ctx, m.root); err != nil {
		return err
	}
	m.say("image %s, commit %s", m.release.reference(), m.release.commit)
	if err := os.MkdirAll(m.output, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(m.root, "Dockerfile"))
	if err != nil {
		return err
	}
	file, err := parseDockerfile(string(text))
	if err != nil {
		return fmt.Errorf("the Dockerfile: %w", err)
	}
	if err := requireTools(ctx, m.say); err != nil {
		return err
	}
	if err := m.makeLister(ctx); err != nil {
		return err
	}
	m.builder, err = newBuilder(ctx, m.work, file)
	if err != nil {
		return err
	}
	m.say("%s is stood in for by this machine's %s", file.base, m.builder.goVersion)
	return nil
}

// make builds the image of an architecture and has it go through every check.
func (m *maker) make(ctx context.Context, arch string, cold bool) error {
	first, err := m.build(ctx, arch, m.root, m.builder.goCache)
	if err != nil {
		return err
	}
	archive := filepath.Join(m.output, "bulkhead-"+arch+".tar")
	if err := writeArchive(archive, first.dir, m.release.epoch); err != nil {
		return err
	}
	m.say("%s: %s in %s", arch, first.digest, archive)
	if err := m.rebuild(ctx, first, cold); err != nil {
		return err
	}
	fs, err := m.check(first)
	if err != nil {
		return err
	}
	binary := filepath.Join(fs, "bulkhead")
	if err := m.componentList(ctx, arch, binary); err != nil {
		return err
	}
	return m.start(ctx, arch, fs)
}

// rebuild builds the image again from a copy of the source in another directory, and compares.
func (m *maker) rebuild(ctx context.Context, first layout, cold bool) error {
	elsewhere := filepath.Join(m.work, "another-place", "with", "a-longer-name-"+first.config.Architecture)
	if err := copyContext(m.root, elsewhere, m.builder.file); err != nil {
		return err
	}
	cache, how := m.builder.goCache, "with the same build cache"
	if cold {
		cache, how = filepath.Join(m.work, "empty-cache-"+first.config.Architecture), "with an empty build cache"
	}
	second, err := m.build(ctx, first.config.Architecture, elsewhere, cache)
	if err != nil {
		return err
	}
	if first.digest != second.digest {
		return fmt.Errorf("not reproducible: %s from the repository, %s from a copy of it", first.digest, second.digest)
	}
	m.say("%s: the same digest from another directory, %s", first.config.Architecture, how)
	return nil
}

func (m *maker) build(ctx context.Context, arch, source, cache string) (layout, error) {
	dir, err := m.builder.build(ctx, arch, source, cache, m.release)
	if err != nil {
		return layout{}, err
	}
	return readLayout(dir)
}

// repository finds the folder with go.mod above the working directory.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// discard removes the working directory, unless something is mounted in it: that would be emptied too.
func discard(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " "+dir+"/") {
		return fmt.Errorf("%s is left as it is: something is mounted in it", dir)
	}
	return os.RemoveAll(dir)
}
