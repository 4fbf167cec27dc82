package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// tools are the programs that this one runs, with the Debian package that each is in.
var tools = map[string]string{"buildah": "buildah", "busybox": "busybox-static", "qemu-aarch64-static": "qemu-user-static"}

// requireTools installs what is missing where it may, as on a bare machine of continuous integration, and says what is missing
// where it may not.
func requireTools(ctx context.Context, say func(string, ...any)) error {
	if os.Geteuid() != 0 {
		return errors.New(`run as root, as in "sudo make image": buildah unpacks file systems and changes root`)
	}
	var missing []string
	for program, pkg := range tools {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install what Debian has in the packages %s", names)
	}
	say("apt-get installs %s", names)
	if _, err := output(ctx, "", "apt-get", "update", "-qq"); err != nil {
		return err
	}
	_, err := output(ctx, "", "apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)...)
	return err
}

// builder runs buildah with a storage of its own. Nothing is pulled, and no build step needs the network.
type builder struct {
	dir       string
	file      dockerfile
	goVersion string
	goRoot    string
	goCache   string
	// modules is this machine's module cache.
	modules string
}

// inside the stand-in for the base image.
const (
	standInModules = "/root/go/pkg/mod"
	standInCache   = "/build-cache"
)

func newBuilder(ctx context.Context, work string, file dockerfile) (*builder, error) {
	out, err := output(ctx, "", "go", "env", "GOVERSION", "GOROOT", "GOCACHE", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	env := strings.Split(out, "\n")
	b := &builder{dir: work, file: file, goVersion: env[0], goRoot: env[1], goCache: env[2], modules: env[3]}
	if !standsFor(b.goVersion, file.base) {
		return nil, fmt.Errorf("this machine's %s cannot stand in for %s; use that version of Go", b.goVersion, file.base)
	}
	// The build step "go mod download" then finds all here.
	if _, err := output(ctx, "", "go", "mod", "download"); err != nil {
		return nil, err
	}
	return b, b.makeBase(ctx)
}

// standsFor reports whether the image has the Go version: golang:1.26 every go1.26, golang:1.26.8 that one.
func standsFor(goVersion, image string) bool {
	image, _, _ = strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tagged && (goVersion == "go"+tag || strings.HasPrefix(goVersion, "go"+tag+"."))
}

// makeBase gives the name of the Dockerfile's base image to one made of this machine's Go and a shell.
func (b *builder) makeBase(ctx context.Context) error {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	files := filepath.Join(b.dir, "base")
	for _, dir := range []string{"bin", "root", "tmp"} {
		if err := os.MkdirAll(filepath.Join(files, dir), 0o755); err != nil {
			return err
		}
	}
	if err := copyFile(busybox, filepath.Join(files, "bin", "busybox"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"sh", "touch", "chmod"} { // what the Dockerfile runs besides go
		if err := os.Symlink("busybox", filepath.Join(files, "bin", name)); err != nil {
			return err
		}
	}
	container, err := b.buildah(ctx, "from", "scratch")
	if err != nil {
		return err
	}
	steps := [][]string{{"copy", "--quiet", container, files, "/"}}
	for _, part := range []string{"bin", "pkg", "src", "VERSION", "go.env"} {
		steps = append(steps, []string{"copy", "--quiet", container, filepath.Join(b.goRoot, part), "/usr/local/go/" + part})
	}
	settings := []string{"config"}
	for _, variable := range []string{
		"PATH=/usr/local/go/bin:/bin", "HOME=/root", "GOTOOLCHAIN=local", "GOCACHE=" + standInCache,
		"GOMODCACHE=" + standInModules, "GOPROXY=off",
	} {
		settings = append(settings, "--env", variable)
	}
	steps = append(steps, append(settings, container), []string{"commit", "--quiet", "--rm", container, b.file.base})
	for _, step := range steps {
		if _, err := b.buildah(ctx, step...); err != nil {
			return err
		}
	}
	return nil
}

// build builds the Dockerfile of the directory for an architecture and gives the folder with its image in OCI layout.
func (b *builder) build(ctx context.Context, arch, source, cache string, r release) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	epoch := strconv.FormatInt(r.epoch, 10)
	// Without the label of the builder's version and without history, which has the time of the build.
	_, err := b.buildah(ctx, "build", "--quiet", "--isolation", "chroot", "--pull=never", "--platform", "linux/"+arch,
		"--timestamp", epoch, "--identity-label=false", "--omit-history",
		"--volume", b.modules+":"+standInModules+":ro", "--volume", cache+":"+standInCache,
		"--build-arg", "BUILDPLATFORM=linux/"+runtime.GOARCH, // older releases of buildah do not know it
		"--build-arg", "VERSION="+r.version, "--build-arg", "COMMIT="+r.commit, "--build-arg", "SOURCE_DATE_EPOCH="+epoch,
		"--tag", r.reference(), source)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(b.dir, "layout-"+arch+"-")
	if err != nil {
		return "", err
	}
	_, err = b.buildah(ctx, "push", "--quiet", r.reference(), "oci:"+dir+":"+r.reference())
	return dir, err
}

// buildah runs buildah and gives what it prints, without the last newline.
func (b *builder) buildah(ctx context.Context, args ...string) (string, error) {
	storage := []string{"--storage-driver", "vfs", "--root", filepath.Join(b.dir, "storage"), "--runroot", filepath.Join(b.dir, "run")}
	out, err := output(ctx, b.dir, "buildah", append(storage, args...)...)
	return strings.TrimSpace(out), err
}

// stderr gives what a program said when it failed.
func stderr(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return ""
	}
	return "\n" + string(exit.Stderr)
}
